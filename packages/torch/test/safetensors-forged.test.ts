import fs, { readFileSync, writeFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { readSafetensors, readSafetensorsHeader, SafetensorsError, scope } from "@iqvae/torch";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { goldenPath } from "./goldens.ts";
import { failure, forge, temporaryFile } from "./safetensors-support.ts";

const file = temporaryFile();

describe("files that are none", () => {
  const F32 = (shape: unknown, offsets: unknown, more = {}) => ({
    x: { dtype: "F32", shape, data_offsets: offsets, ...more },
  });
  const four = new Uint8Array(4);
  const unusable = (reason: string) => `this is not a usable safetensors file: ${reason}. Write it or fetch it again.`;

  /** What this Node.js says of a text that is not JSON. */
  const jsonComplaint = (text: string): string => {
    try {
      return String(JSON.parse(text));
    } catch (error) {
      return (error as Error).message;
    }
  };

  test.each<[string, () => unknown, string]>([
    ["empty", () => writeFileSync(file.path, ""), "it has 0 bytes, fewer than the 8 with which the format starts"],
    [
      "a header longer than the file",
      () => forge(file.path, "{}", four, 9n),
      "it is truncated: it announces a header of 9 bytes, but only 6 follow",
    ],
    [
      "a header beyond the bound",
      () => forge(file.path, "{}", four, 2n ** 63n),
      "it announces a header of 9223372036854775808 bytes; the format allows 100000000",
    ],
    ["no JSON", () => forge(file.path, "{x}"), `its header is not JSON (${jsonComplaint("{x}")})`],
    ["no UTF-8", () => forge(file.path, "{}", Uint8Array.of(0xff), 3n), "its header is not UTF-8"],
    ["an array", () => forge(file.path, "[]"), "its header is not a JSON object"],
    ["white space first", () => forge(file.path, " {}"), "its header is not a JSON object"],
    [
      "metadata of numbers",
      () => forge(file.path, { __metadata__: { step: 1 } }),
      'its __metadata__ holds no string at "step"',
    ],
    ["metadata that is none", () => forge(file.path, { __metadata__: [] }), "its __metadata__ is not an object"],
    ["an entry that is none", () => forge(file.path, { x: 1 }), 'the entry of tensor "x" is not an object'],
    [
      "a dtype that is not text",
      () => forge(file.path, { x: { dtype: 8, shape: [], data_offsets: [0, 4] } }, four),
      'the entry of tensor "x" has the dtype 8, which is not a name',
    ],
    [
      "an end before the start",
      () => forge(file.path, { x: { dtype: "F8_E4M3", shape: [4], data_offsets: [4, 0] } }, four),
      'the entry of tensor "x" has the data_offsets [4,0], which end before they start',
    ],
    [
      "a gap before a tensor of an unknown dtype",
      () => forge(file.path, { x: { dtype: "F8_E4M3", shape: [3], data_offsets: [1, 4] } }, four),
      'tensor "x" leaves a gap before it: it starts at byte 1, where 0 was expected',
    ],
    [
      "an unknown field",
      () => forge(file.path, F32([1], [0, 4], { code: 1 }), four),
      'the entry of tensor "x" has an unknown field "code"',
    ],
    [
      "a negative size",
      () => forge(file.path, F32([-1], [0, 4]), four),
      'the entry of tensor "x" has the shape [-1], which is not a list of sizes',
    ],
    [
      "a fraction",
      () => forge(file.path, F32([0.5], [0, 2]), four),
      'the entry of tensor "x" has the shape [0.5], which is not a list of sizes',
    ],
    [
      "one offset",
      () => forge(file.path, F32([1], [0]), four),
      'the entry of tensor "x" has the data_offsets [0], which are not two byte counts',
    ],
    [
      "offsets the wrong way",
      () => forge(file.path, F32([1], [4, 0]), four),
      'the entry of tensor "x" has the data_offsets [4,0], which end before they start',
    ],
    [
      "sizes that overflow",
      () => forge(file.path, F32([2 ** 40, 2 ** 40], [0, 4]), four),
      `the entry of tensor "x" has the shape [${2 ** 40}, ${2 ** 40}], which is too large for any machine`,
    ],
    [
      "empty sizes that overflow",
      () => forge(file.path, F32([0, 2 ** 40, 2 ** 40], [0, 0])),
      `the entry of tensor "x" has the shape [0, ${2 ** 40}, ${2 ** 40}], which is too large for any machine`,
    ],
    [
      "too many dimensions",
      () => forge(file.path, F32(new Array(65).fill(1), [0, 4]), four),
      'the entry of tensor "x" has 65 dimensions; at most 64 are possible',
    ],
    [
      "a shape that lies",
      () => forge(file.path, F32([2], [0, 4]), four),
      'the entry of tensor "x" spans 4 bytes, but its shape [2] of F32 takes 8',
    ],
    [
      "truncated data",
      () => forge(file.path, F32([2], [0, 8]), four),
      "it is truncated: its tensors take 8 bytes, but only 4 follow the header",
    ],
    [
      "data too long",
      () => forge(file.path, F32([1], [0, 4]), new Uint8Array(5)),
      "its tensors take 4 bytes, but 5 follow the header",
    ],
    [
      "a gap",
      () => forge(file.path, F32([1], [4, 8]), new Uint8Array(8)),
      'tensor "x" leaves a gap before it: it starts at byte 4, where 0 was expected',
    ],
    [
      "an overlap",
      () =>
        forge(
          file.path,
          { ...F32([1], [0, 4]), y: { dtype: "F32", shape: [1], data_offsets: [2, 6] } },
          new Uint8Array(6),
        ),
      'tensor "y" overlaps the tensor before it: it starts at byte 2, where 4 was expected',
    ],
    [
      "a name twice",
      () =>
        forge(
          file.path,
          '{"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\\u0078":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
        ),
      'its header names "x" twice',
    ],
    [
      "a field twice",
      () => forge(file.path, '{"x":{"dtype":"U8","shape":[1],"shape":[0],"data_offsets":[0,0]}}'),
      'its header names "shape" twice',
    ],
  ])("%s", (_, make, reason) => {
    make();
    for (const read of [readSafetensors, readSafetensorsHeader])
      expect(failure(() => read(file.path)).message).toBe(`${file.path}: ${unusable(reason)}`);
  });

  test("a missing file, a folder, a device", () => {
    expect(failure(() => readSafetensors(file.path)).message).toContain(
      `${file.path}: cannot read it: there is no such file (ENOENT)`,
    );
    expect(failure(() => readSafetensors(file.folder)).message).toBe(
      `${file.folder}: ${unusable("it is not a regular file")}`,
    );
    expect(failure(() => readSafetensors("/dev/null")).message).toBe(
      `/dev/null: ${unusable("it is not a regular file")}`,
    );
  });

  test("a file that shrinks while it is read", () => {
    forge(file.path, F32([200], [0, 800]), four);
    const { fstatSync } = fs;
    const size = readFileSync(file.path).length - 4 + 800;
    fs.fstatSync = (() => ({ isFile: () => true, size })) as unknown as typeof fstatSync;
    syncBuiltinESMExports();
    try {
      expect(failure(() => readSafetensors(file.path)).message).toBe(
        `${file.path}: the file became shorter while it was read; read it again`,
      );
    } finally {
      fs.fstatSync = fstatSync;
      syncBuiltinESMExports();
    }
  });

  /** Every tensor holds the bytes that the header promises; computed without our reader. */
  function expectFaithful(bytes: Buffer): void {
    const { tensors } = readSafetensors(file.path);
    const length = Number(bytes.readBigUInt64LE());
    const header = JSON.parse(bytes.toString("utf8", 8, 8 + length)) as Record<
      string,
      { data_offsets: [number, number] }
    >;
    expect(new Set(tensors.keys())).toEqual(new Set(Object.keys(header).filter((name) => name !== "__metadata__")));
    for (const [name, read] of tensors) {
      const [start, end] = header[name]!.data_offsets;
      const expected = bytes.subarray(8 + length + start, 8 + length + end);
      const array = read.toTypedArray();
      const got = Buffer.from(array.buffer, array.byteOffset, array.byteLength);
      expect(got.equals(read.dtype === "bool" ? expected.map((byte) => Number(byte !== 0)) : expected), name).toBe(
        true,
      );
    }
  }

  const expectLesson = (bytes: Buffer) =>
    scope(() => {
      writeFileSync(file.path, bytes);
      try {
        expectFaithful(bytes);
      } catch (error) {
        if (!(error instanceof SafetensorsError)) throw error;
        expect(error.message.startsWith(`${file.path}: `)).toBe(true);
      }
    });

  test("whatever is done to a valid file, it is refused or read as it stands", async () => {
    const valid = readFileSync(goldenPath("reference.safetensors"));
    const position = fc.nat({ max: valid.length - 1 });
    const edit: fc.Arbitrary<(bytes: Buffer) => Buffer> = fc.oneof(
      fc.tuple(position, fc.integer({ min: 0, max: 255 })).map(([at, byte]) => (bytes: Buffer) => {
        bytes[at % bytes.length] = byte;
        return bytes;
      }),
      position.map((at) => (bytes: Buffer) => bytes.subarray(0, Math.max(1, at))),
      fc.tuple(position, fc.uint8Array({ minLength: 1, maxLength: 9 })).map(
        ([at, added]) =>
          (bytes: Buffer) =>
            Buffer.concat([bytes.subarray(0, at), added, bytes.subarray(at)]),
      ),
      fc.tuple(position, fc.integer({ min: 1, max: 9 })).map(
        ([at, count]) =>
          (bytes: Buffer) =>
            Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + count)]),
      ),
    );
    await fc.assert(
      fc.property(fc.array(edit, { minLength: 1, maxLength: 3 }), (edits) => {
        expectLesson(edits.reduce<Buffer>((bytes, change) => change(bytes), Buffer.from(valid)));
      }),
      { numRuns: 1500 },
    );
  });

  test("whatever a header claims, it is refused or read as it stands", async () => {
    const size = fc.oneof(fc.nat({ max: 3 }), fc.constantFrom(-1, 0.5, 2 ** 31, 2 ** 32, 2 ** 53, 1e300, "2", null));
    const entry = fc.oneof(
      fc.record({
        dtype: fc.constantFrom("F32", "U8", "BOOL", "F16", "I64", "f32", 4),
        shape: fc.array(size, { maxLength: 3 }),
        data_offsets: fc.array(fc.oneof(fc.constantFrom(0, 1, 2, 4, 8, 12), size), { minLength: 1, maxLength: 3 }),
      }),
      fc.jsonValue(),
    );
    const header = fc.dictionary(
      fc.oneof(fc.constantFrom("a", "b", "__metadata__", "__proto__", "0"), fc.string()),
      entry,
      { maxKeys: 3 },
    );
    await fc.assert(
      fc.property(header, fc.nat({ max: 16 }), (claims, count) => {
        forge(file.path, claims, new Uint8Array(count).fill(1));
        expectLesson(readFileSync(file.path));
      }),
      { numRuns: 1500 },
    );
  });
});
