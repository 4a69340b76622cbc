import fc from "fast-check";
import { expect, it } from "vitest";
import { readWav } from "../../src/index.ts";

interface Parts {
  readonly code?: number;
  readonly channels?: number;
  readonly bits?: number;
  readonly rate?: number;
  /** Bytes from one sample to the next, as the header says. */
  readonly block?: number;
  readonly data: Uint8Array;
  /** The length that the header of the data claims. */
  readonly claim?: number;
  /** Makes the format an extensible one, with this identifier of its sub-format in hexadecimal digits. */
  readonly subFormat?: string;
  /** What follows the data. */
  readonly after?: Uint8Array;
}

function wav(parts: Parts): Uint8Array {
  const { channels = 1, bits = 16, rate = 8000, data, subFormat } = parts;
  const format = Buffer.alloc(subFormat === undefined ? 16 : 40);
  format.writeUInt16LE(subFormat === undefined ? (parts.code ?? 1) : 0xfffe, 0);
  format.writeUInt16LE(channels, 2);
  format.writeUInt32LE(rate, 4);
  format.writeUInt32LE((rate * channels * bits) / 8, 8);
  format.writeUInt16LE(parts.block ?? (channels * bits) / 8, 12);
  format.writeUInt16LE(bits, 14);
  if (subFormat !== undefined) {
    format.writeUInt16LE(22, 16);
    format.writeUInt16LE(bits, 18);
    format.write(subFormat, 24, "hex");
  }
  const lengths = [36 + data.length, format.length, parts.claim ?? data.length].map((length) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(length);
    return bytes;
  });
  const text = (four: string) => Buffer.from(four, "latin1");
  return new Uint8Array(
    Buffer.concat([
      ...[text("RIFF"), lengths[0]!, text("WAVE")],
      ...[text("fmt "), lengths[1]!, format],
      ...[text("data"), lengths[2]!, data, parts.after ?? Buffer.alloc(0)],
    ]),
  );
}

const bytesOf = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
const two = bytesOf(Int16Array.of(16384, -32768));
const list = Buffer.from("LIST\x04\0\0\0INFO", "latin1");
const PCM = "0100000000001000800000aa00389b71";

it("reads integers and floats, and averages channels", () => {
  const read = (parts: Parts) => [...readWav(wav(parts), "x.wav").samples];
  expect(read({ data: two })).toEqual([0.5, -1]);
  expect(read({ bits: 8, data: Uint8Array.of(128, 192) })).toEqual([0, 0.5]);
  expect(read({ bits: 24, data: Uint8Array.of(0, 0, 0x40, 0, 0, 0x80) })).toEqual([0.5, -1]);
  expect(read({ bits: 32, data: bytesOf(Int32Array.of(2 ** 30)) })).toEqual([0.5]);
  expect(read({ code: 3, bits: 32, data: bytesOf(Float32Array.of(0.25, -0.75)) })).toEqual([0.25, -0.75]);
  expect(read({ channels: 2, data: bytesOf(Int16Array.of(16384, 0)) })).toEqual([0.25]);
  expect(read({ subFormat: PCM, data: two })).toEqual([0.5, -1]);
  expect(readWav(wav({ rate: 22_050, data: new Uint8Array(2) }), "x.wav").rate).toBe(22_050);
});

it.each<[string, Partial<Parts>]>([
  ["as sox leaves it", { claim: 0x7fff_f000 }],
  ["as ffmpeg leaves it", { claim: 0xffff_ffff }],
  ["of 0 before samples", { claim: 0 }],
])("reads to the end of a file with a length %s", (_, parts) => {
  // As a list of chunks the samples would go beyond the end of the file.
  const data = bytesOf(Int16Array.from({ length: 100 }, (_, i) => 0x4141 + i));
  expect(readWav(wav({ data, ...parts }), "x.wav").samples).toHaveLength(100);
});

it("leaves out the chunks that follow the samples", () => {
  expect(readWav(wav({ data: two, after: list }), "x.wav").samples).toHaveLength(2);
});

it.each<[Uint8Array, string]>([
  [new Uint8Array(3), "it does not begin with RIFF … WAVE"],
  [wav({ data: new Uint8Array(10), claim: 14 }), "its data end 4 bytes early"],
  [wav({ code: 85, data: new Uint8Array(2) }), "its samples have 16 bits and format 85"],
  [wav({ channels: 0, data: new Uint8Array(2) }), "it has 0 channels"],
  [wav({ data: new Uint8Array(0) }).slice(0, 36), "it holds no data"],
  [wav({ data: new Uint8Array(0) }).slice(0, 30), "its format is cut off"],
  [wav({ data: new Uint8Array(0) }), "it holds no samples"],
  [wav({ data: new Uint8Array(1) }), "it holds no samples"],
  [wav({ data: new Uint8Array(0), after: list }), "it holds no samples"],
  [wav({ rate: 8, data: two }), "it has 8 samples a second, outside of 4000 to 384000"],
  [wav({ rate: 400_000, data: two }), "it has 400000 samples a second"],
  [wav({ code: 3, bits: 32, data: bytesOf(Float32Array.of(0, Number.NaN)) }), "its sample 1 is NaN"],
  [wav({ code: 3, bits: 32, data: bytesOf(Float32Array.of(-Infinity)) }), "its sample 0 is -Infinity"],
  // Beyond what float32 holds.
  [wav({ code: 3, bits: 64, data: bytesOf(Float64Array.of(1e300)) }), "its sample 0 is 1e+300"],
  [
    wav({ subFormat: "0100aaaaaaaaaaaaaaaaaaaaaaaaaaaa", data: two }),
    "its sub-format 0100aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
  ],
  [wav({ subFormat: PCM, data: two }).slice(0, 50), "its format is cut off"],
  // 24 bits in the upper part of four bytes.
  [wav({ bits: 24, block: 4, data: new Uint8Array(8) }), "1 channels of 24 bits are 3 bytes, but its header says 4"],
])("says what is wrong with %#", (bytes, reason) => {
  expect(() => readWav(bytes, "x.wav")).toThrow(new RangeError(`x.wav cannot be read: ${reason}`).message);
});

it("refuses damaged files with a RangeError, never with anything else", () => {
  const whole = wav({ data: new Uint8Array(64) });
  fc.assert(
    fc.property(
      fc.nat(whole.length),
      fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 4 }),
      (length, changes) => {
        const damaged = whole.slice(0, length);
        for (const [at, value] of changes) if (at < length) damaged[at] = value;
        try {
          readWav(damaged, "x.wav");
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      },
    ),
    { numRuns: 500 },
  );
});
