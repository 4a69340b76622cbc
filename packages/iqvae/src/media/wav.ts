/** Sound of one channel, samples in [−1, 1]. */
export interface Waveform {
  readonly samples: Float32Array;
  /** Samples a second. */
  readonly rate: number;
}

/** Codes of the formats that are read: integers, floats, and the form that says which of the two further on. */
const [INTEGERS, FLOATS, EXTENSIBLE] = [1, 3, 0xfffe];

interface Format {
  readonly code: number;
  readonly channels: number;
  readonly rate: number;
  readonly bits: number;
}

/**
 * Reads a WAV file: 8, 16, 24 or 32 bits as integers, or 32 or 64 as floats. Channels are averaged.
 *
 * @param name what to call it in messages
 * @throws RangeError for what is no such file, and for one that is cut off
 */
export function readWav(bytes: Uint8Array, name: string): Waveform {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const tag = (at: number) => (at + 4 <= bytes.length ? String.fromCharCode(...bytes.subarray(at, at + 4)) : "");
  if (tag(0) !== "RIFF" || tag(8) !== "WAVE") refuse(name, "it does not begin with RIFF … WAVE");
  let format: Format | undefined;
  for (let at = 12; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at + 4, true);
    const body = at + 8;
    if (tag(at) === "fmt ") {
      if (length < 16 || body + length > bytes.length) refuse(name, "its format is cut off");
      format = readFormat(view, body, length);
    }
    if (tag(at) === "data") {
      if (format === undefined) refuse(name, "its data come before their format");
      // Some writers leave 0 or the largest number where they did not know the length.
      const missing = body + length - bytes.length;
      if (missing > 0 && length < 0xffff_fff0) refuse(name, `its data end ${missing} bytes early`);
      return readSamples(view, body, Math.min(length, bytes.length - body), format, name);
    }
    at = body + length + (length % 2);
  }
  return refuse(name, "it holds no data");
}

function readFormat(view: DataView, at: number, length: number): Format {
  const code = view.getUint16(at, true);
  return {
    // The first two bytes of the sub-format's identifier are the code that would stand here.
    code: code === EXTENSIBLE && length >= 26 ? view.getUint16(at + 24, true) : code,
    channels: view.getUint16(at + 2, true),
    rate: view.getUint32(at + 4, true),
    bits: view.getUint16(at + 14, true),
  };
}

function readSamples(view: DataView, at: number, length: number, format: Format, name: string): Waveform {
  const { code, channels, rate, bits } = format;
  const value = reader(view, code, bits);
  if (value === undefined) refuse(name, `its samples have ${bits} bits and format ${code}`);
  if (channels < 1 || rate < 1) refuse(name, `it has ${channels} channels and ${rate} samples a second`);
  const bytes = bits / 8;
  const samples = new Float32Array(Math.floor(length / (bytes * channels)));
  for (let i = 0; i < samples.length; i++) {
    let sum = 0;
    for (let channel = 0; channel < channels; channel++) sum += value(at + (i * channels + channel) * bytes);
    samples[i] = sum / channels;
  }
  return { samples, rate };
}

function reader(view: DataView, code: number, bits: number): ((at: number) => number) | undefined {
  if (code === FLOATS) {
    if (bits === 32) return (at) => view.getFloat32(at, true);
    if (bits === 64) return (at) => view.getFloat64(at, true);
  }
  if (code !== INTEGERS) return undefined;
  switch (bits) {
    case 8:
      return (at) => (view.getUint8(at) - 128) / 128;
    case 16:
      return (at) => view.getInt16(at, true) / 2 ** 15;
    case 24:
      return (at) => (view.getUint16(at, true) + 65536 * view.getInt8(at + 2)) / 2 ** 23;
    case 32:
      return (at) => view.getInt32(at, true) / 2 ** 31;
  }
  return undefined;
}

function refuse(name: string, reason: string): never {
  throw new RangeError(
    `${name} cannot be read: ${reason}. Expected a whole WAV file of 8 to 32 bit integers or 32 or 64 bit floats; convert ` +
      `others, MP3 too: ffmpeg -i sound.mp3 sound.wav`,
  );
}
