import { hex } from "../sampling/sha256.ts";
import { RATES } from "./resample.ts";

/** Sound of one channel, samples in [−1, 1]. */
export interface Waveform {
  readonly samples: Float32Array;
  /** Samples a second. */
  readonly rate: number;
}

/** Codes of the formats that are read: integers, floats, and the form that says which of the two further on. */
const [INTEGERS, FLOATS, EXTENSIBLE] = [1, 3, 0xfffe];
/** How the identifier of a sub-format ends whose first two bytes are the code of a plain format (KSDATAFORMAT_SUBTYPE_…). */
const PLAIN_SUBFORMAT = "000000001000800000aa00389b71";
/** Lengths from here on mean that the writer did not know: sox leaves 7FFFF000, ffmpeg FFFFFFFF in what it writes to a pipe. */
const UNKNOWN_LENGTH = 0x7fff_0000;

interface Format {
  readonly code: number;
  readonly channels: number;
  readonly rate: number;
  readonly bits: number;
  /** Bytes from one sample of a channel to its next. */
  readonly block: number;
}

/**
 * Reads a WAV file: 8, 16, 24 or 32 bits as integers, or 32 or 64 as floats. Channels are averaged. Where the writer left no
 * length, the sound goes on to the end of the file.
 *
 * @param name what to call it in messages
 * @throws RangeError for what is not such a file, for one that is cut off or holds no samples, for a sampling rate outside of
 *   {@link RATES}, and for samples that are infinite or not numbers
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
      format = readFormat(view, body, length, name);
    }
    if (tag(at) === "data") {
      if (format === undefined) refuse(name, "its data come before their format");
      const left = bytes.length - body;
      const streamed = length >= UNKNOWN_LENGTH || (length === 0 && !areChunks(view, body));
      if (!streamed && length > left) refuse(name, `its data end ${length - left} bytes early`);
      return readSamples(view, body, streamed ? left : length, format, name);
    }
    at = body + length + (length % 2);
  }
  return refuse(name, "it holds no data");
}

/** Whether the rest of a file is a list of chunks, or nothing: then a length of 0 before it is meant. */
function areChunks(view: DataView, from: number): boolean {
  let at = from;
  while (at + 8 <= view.byteLength) {
    for (let i = 0; i < 4; i++) {
      const character = view.getUint8(at + i);
      if (character < 0x20 || character > 0x7e) return false;
    }
    const length = view.getUint32(at + 4, true);
    at += 8 + length + (length % 2);
  }
  // The byte that fills up a last chunk of odd length is often left out.
  return at === view.byteLength || at === view.byteLength + 1;
}

function readFormat(view: DataView, at: number, length: number, name: string): Format {
  const code = view.getUint16(at, true);
  const [channels, rate] = [view.getUint16(at + 2, true), view.getUint32(at + 4, true)];
  if (channels < 1) refuse(name, "it has 0 channels");
  if (rate < RATES.lowest || rate > RATES.highest) {
    refuse(name, `it has ${rate} samples a second, outside of ${RATES.lowest} to ${RATES.highest}`);
  }
  return {
    code: code === EXTENSIBLE ? subFormat(view, at, length, name) : code,
    channels,
    rate,
    bits: view.getUint16(at + 14, true),
    block: view.getUint16(at + 12, true),
  };
}

/** The code of a plain format that an extensible one stands for. */
function subFormat(view: DataView, at: number, length: number, name: string): number {
  if (length < 40) refuse(name, "its format is cut off");
  const id = hex(new Uint8Array(view.buffer, view.byteOffset + at + 24, 16));
  if (id.slice(4) === PLAIN_SUBFORMAT) return view.getUint16(at + 24, true);
  return refuse(name, `its sub-format ${id} is unknown`);
}

function readSamples(view: DataView, at: number, length: number, format: Format, name: string): Waveform {
  const { code, channels, rate, bits, block } = format;
  const value = reader(view, code, bits);
  if (value === undefined) refuse(name, `its samples have ${bits} bits and format ${code}`);
  const bytes = bits / 8;
  if (block !== channels * bytes) {
    refuse(name, `${channels} channels of ${bits} bits are ${channels * bytes} bytes, but its header says ${block}`);
  }
  const samples = new Float32Array(Math.floor(length / block));
  if (samples.length === 0) refuse(name, "it holds no samples");
  for (let i = 0; i < samples.length; i++) {
    let sum = 0;
    for (let channel = 0; channel < channels; channel++) sum += value(at + i * block + channel * bytes);
    samples[i] = sum / channels;
    if (!Number.isFinite(samples[i])) refuse(name, `its sample ${i} is ${sum / channels}, not a finite number`);
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
