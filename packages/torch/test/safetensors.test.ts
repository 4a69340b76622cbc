import fs, {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type DType,
  liveTensors,
  noGrad,
  ops,
  readSafetensors,
  readSafetensorsHeader,
  SafetensorsError,
  scope,
  type Tensor,
  tensor,
  writeSafetensors,
} from "@iqvae/torch";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { goldenPath } from "./goldens.ts";
import { mountSmallDisk, unmount } from "./small-disk.ts";

let temp: string;
let path: string;
beforeEach(() => {
  temp = mkdtempSync(join(tmpdir(), "safetensors-"));
  path = join(temp, "file.safetensors");
});
afterEach(() => {
  rmSync(temp, { recursive: true });
});

const DTYPES: readonly DType[] = [
  ..."float32 float64 float16 bfloat16 int64 int32 int16 int8 uint8 bool".split(" "),
] as DType[];

/** A file from a header and the bytes after it. */
function forge(header: string | object, data: Uint8Array = new Uint8Array(), length?: bigint): string {
  const text = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const first = Buffer.alloc(8);
  first.writeBigUInt64LE(length ?? BigInt(text.length));
  writeFileSync(path, Buffer.concat([first, text, data]));
  return path;
}

const failure = (body: () => unknown): SafetensorsError => {
  try {
    body();
  } catch (error) {
    expect(error).toBeInstanceOf(SafetensorsError);
    return error as SafetensorsError;
  }
  return expect.fail("no error was thrown");
};

describe("against the reference implementation", () => {
  /** The content of goldens/reference.safetensors, as tools/golden_safetensors.py makes it. */
  const reference = (): Map<string, Tensor> => {
    const tensors = new Map(DTYPES.map((dtype) => [dtype as string, ops.aten.arange(6).reshape([2, 3]).to(dtype)]));
    return tensors
      .set('quote " slash \\ line \n é', tensor([1.5, -2.25]))
      .set("\u{1f600}", tensor([1]))
      .set("\uff5e", tensor([2]))
      .set("scalar", tensor(0.5))
      .set("empty", ops.aten.zeros([0, 3]))
      .set("odd", tensor([7], { dtype: "uint8" }));
  };

  test("reads what it wrote", () => {
    const { tensors, metadata } = readSafetensors(goldenPath("reference.safetensors"));
    expect(metadata).toEqual({ format: "pt" });
    const expected = reference();
    expect([...tensors.keys()].sort()).toEqual([...expected.keys()].sort());
    for (const [name, made] of expected) {
      expect(`${name}: ${tensors.get(name)}`).toBe(`${name}: ${made}`);
      expect(tensors.get(name)?.toTypedArray(), name).toEqual(made.toTypedArray());
    }
    expect(tensors.get("bfloat16")?.read("bfloat16")).toEqual(
      new Uint16Array([0, 0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0]),
    );
    expect(tensors.get("bool")?.read("bool")).toEqual(new Uint8Array([0, 1, 1, 1, 1, 1]));
  });

  test("writes the same bytes", () => {
    writeSafetensors(path, reference(), { format: "pt" });
    expect(readFileSync(path).equals(readFileSync(goldenPath("reference.safetensors")))).toBe(true);
    writeSafetensors(path, new Map());
    expect(readFileSync(path).equals(readFileSync(goldenPath("reference-empty.safetensors")))).toBe(true);
  });

  test("the header alone says what lies where", () => {
    const header = readSafetensorsHeader(goldenPath("reference.safetensors"));
    expect(header.metadata).toEqual({ format: "pt" });
    expect([...header.tensors].slice(0, 2)).toEqual([
      ["int64", { dtype: "int64", shape: [2, 3], start: 0, end: 48 }],
      ["float64", { dtype: "float64", shape: [2, 3], start: 48, end: 96 }],
    ]);
    expect(header.tensors.get("scalar")).toMatchObject({ shape: [], dtype: "float32" });
    expect(header.dataStart % 8).toBe(0);
  });
});

describe("round trips", () => {
  const tensors = fc.uniqueArray(
    fc.record({
      name: fc.string({ unit: "binary" }).filter((name) => name !== "__metadata__"),
      dtype: fc.constantFrom(...DTYPES),
      shape: fc.array(fc.nat({ max: 4 }), { maxLength: 4 }),
    }),
    { selector: ({ name }) => name, maxLength: 6 },
  );

  test("any names, dtypes, shapes and metadata", async () => {
    const metadata = fc.dictionary(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }));
    await fc.assert(
      fc.property(tensors, metadata, (described, about) =>
        scope(() => {
          const made = new Map(
            described.map(({ name, dtype, shape }) => [name, ops.aten.randn(shape).mul(100).to(dtype)]),
          );
          writeSafetensors(path, made, about);
          const back = readSafetensors(path);
          expect(back.metadata).toEqual({ ...about });
          expect(new Set(back.tensors.keys())).toEqual(new Set(made.keys()));
          for (const [name, { dtype, shape }] of made) {
            expect(back.tensors.get(name)).toMatchObject({ dtype, shape });
            expect(back.tensors.get(name)?.toTypedArray()).toEqual(made.get(name)?.toTypedArray());
          }
        }),
      ),
      { numRuns: 150 },
    );
  });

  test("views are written as what they show", () => {
    const base = ops.aten.arange(24, { dtype: "float32" }).reshape([1, 2, 3, 4]);
    const views = new Map([
      ["transposed", base.transpose(1, 3)],
      ["channels_last", base.contiguous({ memory_format: "channels_last" })],
      ["stepped", base.slice(3, 0, 4, 2)],
      ["expanded", tensor([3]).expand([4])],
      ["leaf", noGrad(() => base.clone()).requires_grad_(true)],
    ]);
    writeSafetensors(path, views);
    const { tensors } = readSafetensors(path);
    for (const [name, view] of views) expect(tensors.get(name)?.toTypedArray(), name).toEqual(view.toTypedArray());
    expect(tensors.get("leaf")?.requiresGrad).toBe(false);
    expect(tensors.get("channels_last")?.strides).toEqual([24, 12, 4, 1]);
  });

  test("tensors larger than a piece go through whole", () => {
    const values = new Int32Array(5_000_001).map((_, i) => i * 7);
    writeSafetensors(path, new Map([["large", tensor(values)]]));
    const back = readSafetensors(path).tensors.get("large")?.read("int32") ?? new Int32Array();
    expect(Buffer.from(back.buffer).equals(Buffer.from(values.buffer))).toBe(true);
  });

  test("a file of more than 4 GiB is read where it is asked for", () => {
    const gap = 5 * 2 ** 30;
    const end = Buffer.from(Float32Array.of(1.5, 2.5).buffer);
    forge({
      zeros: { dtype: "U8", shape: [gap], data_offsets: [0, gap] },
      last: { dtype: "F32", shape: [2], data_offsets: [gap, gap + 8] },
    });
    truncateSync(path, readFileSync(path).length + gap);
    fs.appendFileSync(path, end);
    expect(readSafetensorsHeader(path).tensors.get("last")?.start).toBe(gap);
    const { tensors } = readSafetensors(path, { names: ["last"] });
    expect([...tensors.keys()]).toEqual(["last"]);
    expect(tensors.get("last")?.read("float32")).toEqual(Float32Array.of(1.5, 2.5));
  });

  test("names are chosen, and one that is not there is told", () => {
    writeSafetensors(
      path,
      new Map([
        ["a", tensor([1])],
        ["b", tensor([2])],
      ]),
    );
    expect([...readSafetensors(path, { names: new Set(["b"]) }).tensors.keys()]).toEqual(["b"]);
    expect(failure(() => readSafetensors(path, { names: ["a", "c"] })).message).toBe(
      `${path}: it has no tensor "c"; it has a, b`,
    );
  });

  test("reading leaves what it returns and nothing else, also when it fails", () => {
    writeSafetensors(
      path,
      new Map([
        ["a", tensor([1])],
        ["b", tensor([2])],
      ]),
    );
    scope(() => {
      const before = liveTensors();
      readSafetensors(path);
      expect(liveTensors()).toBe(before + 2);
    });
    const before = liveTensors();
    expect(failure(() => readSafetensors(path, { names: ["c"] })).path).toBe(path);
    writeSafetensors(
      path,
      scope(() => new Map([["a", tensor([1])]])),
    );
    expect(liveTensors()).toBeLessThanOrEqual(before + 1);
  });

  test("bytes that are no booleans become booleans", () => {
    forge({ flags: { dtype: "BOOL", shape: [3], data_offsets: [0, 3] } }, Uint8Array.of(0, 2, 255));
    expect(readSafetensors(path).tensors.get("flags")?.read("bool")).toEqual(Uint8Array.of(0, 1, 1));
  });
});

describe("files that are none", () => {
  const F32 = (shape: unknown, offsets: unknown, more = {}) => ({
    x: { dtype: "F32", shape, data_offsets: offsets, ...more },
  });
  const four = new Uint8Array(4);
  const unusable = (reason: string) =>
    `this is no safetensors file that can be used: ${reason}. Write it or fetch it again.`;

  /** What this Node.js says of a text that is no JSON. */
  const jsonComplaint = (text: string): string => {
    try {
      return String(JSON.parse(text));
    } catch (error) {
      return (error as Error).message;
    }
  };

  test.each<[string, () => unknown, string]>([
    ["empty", () => writeFileSync(path, ""), "it has 0 bytes, fewer than the 8 with which the format starts"],
    [
      "a header longer than the file",
      () => forge("{}", four, 9n),
      "it is truncated: it announces a header of 9 bytes, but only 6 follow",
    ],
    [
      "a header beyond the bound",
      () => forge("{}", four, 2n ** 63n),
      "it announces a header of 9223372036854775808 bytes; the format allows 100000000",
    ],
    ["no JSON", () => forge("{x}"), `its header is no JSON (${jsonComplaint("{x}")})`],
    ["no UTF-8", () => forge("{}", Uint8Array.of(0xff), 3n), "its header is no UTF-8"],
    ["an array", () => forge("[]"), "its header is no JSON object"],
    ["white space first", () => forge(" {}"), "its header is no JSON object"],
    ["metadata of numbers", () => forge({ __metadata__: { step: 1 } }), 'its __metadata__ holds no string at "step"'],
    ["metadata that is none", () => forge({ __metadata__: [] }), "its __metadata__ is no object"],
    ["an entry that is none", () => forge({ x: 1 }), 'the entry of tensor "x" is no object'],
    [
      "an unknown dtype",
      () => forge({ x: { dtype: "F8", shape: [], data_offsets: [0, 1] } }, four),
      'the entry of tensor "x" has the dtype "F8"; known are I64, F64, F32, I32, BF16, F16, I16, I8, U8, BOOL',
    ],
    [
      "an unknown field",
      () => forge(F32([1], [0, 4], { code: 1 }), four),
      'the entry of tensor "x" has an unknown field "code"',
    ],
    [
      "a negative size",
      () => forge(F32([-1], [0, 4]), four),
      'the entry of tensor "x" has the shape [-1], which is no list of sizes',
    ],
    [
      "a fraction",
      () => forge(F32([0.5], [0, 2]), four),
      'the entry of tensor "x" has the shape [0.5], which is no list of sizes',
    ],
    [
      "one offset",
      () => forge(F32([1], [0]), four),
      'the entry of tensor "x" has the data_offsets [0], which are no two byte counts',
    ],
    [
      "offsets the wrong way",
      () => forge(F32([1], [4, 0]), four),
      'the entry of tensor "x" spans -4 bytes, but its shape [1] of F32 takes 4',
    ],
    [
      "sizes that overflow",
      () => forge(F32([2 ** 40, 2 ** 40], [0, 4]), four),
      `the entry of tensor "x" has the shape [${2 ** 40}, ${2 ** 40}], which is too large for any machine`,
    ],
    [
      "empty sizes that overflow",
      () => forge(F32([0, 2 ** 40, 2 ** 40], [0, 0])),
      `the entry of tensor "x" has the shape [0, ${2 ** 40}, ${2 ** 40}], which is too large for any machine`,
    ],
    [
      "too many dimensions",
      () => forge(F32(new Array(65).fill(1), [0, 4]), four),
      'the entry of tensor "x" has 65 dimensions; at most 64 are possible',
    ],
    [
      "a shape that lies",
      () => forge(F32([2], [0, 4]), four),
      'the entry of tensor "x" spans 4 bytes, but its shape [2] of F32 takes 8',
    ],
    [
      "truncated data",
      () => forge(F32([2], [0, 8]), four),
      "it is truncated: its tensors take 8 bytes, but only 4 follow the header",
    ],
    [
      "data too long",
      () => forge(F32([1], [0, 4]), new Uint8Array(5)),
      "its tensors take 4 bytes, but 5 follow the header",
    ],
    [
      "a gap",
      () => forge(F32([1], [4, 8]), new Uint8Array(8)),
      'tensor "x" leaves a gap before it: it starts at byte 4, where 0 was expected',
    ],
    [
      "an overlap",
      () => forge({ ...F32([1], [0, 4]), y: { dtype: "F32", shape: [1], data_offsets: [2, 6] } }, new Uint8Array(6)),
      'tensor "y" overlaps the tensor before it: it starts at byte 2, where 4 was expected',
    ],
    [
      "a name twice",
      () =>
        forge(
          '{"x":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"\\u0078":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
        ),
      'its header names "x" twice',
    ],
    [
      "a field twice",
      () => forge('{"x":{"dtype":"U8","shape":[1],"shape":[0],"data_offsets":[0,0]}}'),
      'its header names "shape" twice',
    ],
  ])("%s", (_, make, reason) => {
    make();
    for (const read of [readSafetensors, readSafetensorsHeader])
      expect(failure(() => read(path)).message).toBe(`${path}: ${unusable(reason)}`);
  });

  test("a missing file, a folder, a device", () => {
    expect(failure(() => readSafetensors(path)).message).toBe(
      `${path}: cannot read it: there is no such file (ENOENT)`,
    );
    expect(failure(() => readSafetensors(temp)).message).toBe(`${temp}: ${unusable("it is no regular file")}`);
    expect(failure(() => readSafetensors("/dev/null")).message).toBe(`/dev/null: ${unusable("it is no regular file")}`);
  });

  test("a file that shrinks while it is read", () => {
    forge(F32([200], [0, 800]), four);
    const { fstatSync } = fs;
    const size = readFileSync(path).length - 4 + 800;
    fs.fstatSync = (() => ({ isFile: () => true, size })) as unknown as typeof fstatSync;
    syncBuiltinESMExports();
    try {
      expect(failure(() => readSafetensors(path)).message).toBe(
        `${path}: the file became shorter while it was read; read it again`,
      );
    } finally {
      fs.fstatSync = fstatSync;
      syncBuiltinESMExports();
    }
  });

  /** Every tensor holds the bytes that the header promises; computed without our reader. */
  function expectFaithful(bytes: Buffer): void {
    const { tensors } = readSafetensors(path);
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
      writeFileSync(path, bytes);
      try {
        expectFaithful(bytes);
      } catch (error) {
        if (!(error instanceof SafetensorsError)) throw error;
        expect(error.message.startsWith(`${path}: `)).toBe(true);
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
        forge(claims, new Uint8Array(count).fill(1));
        expectLesson(readFileSync(path));
      }),
      { numRuns: 1500 },
    );
  });
});

describe("writing that fails", () => {
  const content = () => new Map([["x", ops.aten.ones([1000])]]);
  const left = () => readdirSync(temp).sort();

  /** Makes a function of node:fs fail with `code` from its n-th call on. */
  function failing<T>(
    name: "writeSync" | "fsyncSync" | "renameSync" | "openSync",
    code: string,
    from: number,
    body: () => T,
  ): T {
    const real = fs[name] as (...args: unknown[]) => unknown;
    let calls = 0;
    const faulty = (...args: unknown[]) => {
      if (++calls < from) return real(...args);
      throw Object.assign(new Error(`${code}: refused, ${name}`), { code, syscall: name, errno: -1 });
    };
    Object.assign(fs, { [name]: faulty });
    syncBuiltinESMExports();
    try {
      return body();
    } finally {
      Object.assign(fs, { [name]: real });
      syncBuiltinESMExports();
    }
  }

  test.each([
    ["writeSync", "ENOSPC", 1, "no space is left for it in FOLDER. Free some, or write elsewhere (ENOSPC)"],
    ["writeSync", "ENOSPC", 2, "no space is left for it in FOLDER. Free some, or write elsewhere (ENOSPC)"],
    ["writeSync", "EDQUOT", 2, "no space is left for it in FOLDER. Free some, or write elsewhere (EDQUOT)"],
    ["fsyncSync", "EIO", 1, "EIO: refused, fsyncSync"],
    [
      "renameSync",
      "EACCES",
      1,
      "the permissions do not allow it. Change them, or write as another user or elsewhere (EACCES)",
    ],
    ["openSync", "EROFS", 1, "FOLDER is on a read-only file system. Write elsewhere (EROFS)"],
  ] as const)("%s: %s at call %i keeps the old file and leaves no other", (name, code, call, reason) => {
    writeSafetensors(path, new Map([["old", tensor([1])]]));
    const before = readFileSync(path);
    const error = failure(() => failing(name, code, call, () => writeSafetensors(path, content())));
    expect(error.message).toBe(
      `${path}: cannot write it: ${reason.replace("FOLDER", temp)}; what was there before is as it was`,
    );
    expect((error.cause as NodeJS.ErrnoException).code).toBe(code);
    expect(readFileSync(path).equals(before)).toBe(true);
    expect(left()).toEqual(["file.safetensors"]);
  });

  test("short writes are continued", () => {
    const { writeSync } = fs;
    fs.writeSync = ((file: number, bytes: Uint8Array, offset: number, length: number) =>
      writeSync(file, bytes, offset, Math.min(length, 7))) as typeof writeSync;
    syncBuiltinESMExports();
    try {
      writeSafetensors(path, content());
    } finally {
      fs.writeSync = writeSync;
      syncBuiltinESMExports();
    }
    expect(readSafetensors(path).tensors.get("x")?.read("float32")).toEqual(new Float32Array(1000).fill(1));
  });

  test("a disk that is really full", ({ skip }) => {
    // Needs a file system of our own making; only root can mount one, and not in every container.
    const { status } = mountSmallDisk(temp);
    if (status !== 0) skip("this process may not mount a file system");
    try {
      const file = join(temp, "x.safetensors");
      writeSafetensors(file, content());
      const error = failure(() => writeSafetensors(file, new Map([["x", ops.aten.ones([1 << 20])]])));
      expect(error.message).toContain(`no space is left for it in ${temp}`);
      expect(left()).toEqual(["x.safetensors"]);
      expect(readSafetensors(file).tensors.get("x")?.numel).toBe(1000);
    } finally {
      unmount(temp);
    }
  });

  test("a folder that is not there, a folder in the way", () => {
    const deep = join(temp, "no", "file");
    expect(failure(() => writeSafetensors(deep, content())).message).toBe(
      `${deep}: cannot write it: there is no folder ${join(temp, "no")}. Make it first (ENOENT); what was there before is as it was`,
    );
    mkdirSync(path);
    expect(failure(() => writeSafetensors(path, content())).message).toContain("it is a folder (EISDIR)");
    expect(left()).toEqual(["file.safetensors"]);
  });

  test("what the format cannot hold is told before a file is touched", () => {
    const write = (tensors: Map<string, Tensor>, metadata = {}) =>
      failure(() => writeSafetensors(path, tensors, metadata)).message;
    expect(write(new Map([["z", ops.aten.view_as_complex(ops.aten.ones([1, 2]))]]))).toBe(
      `${path}: cannot write it: tensor "z" is complex64, which the format does not have; convert it first`,
    );
    expect(write(new Map([["__metadata__", tensor([1])]]))).toBe(
      `${path}: cannot write it: no tensor can be named __metadata__: the format keeps the name for itself`,
    );
    expect(write(new Map([["\ud800", tensor([1])]]))).toBe(
      `${path}: cannot write it: "\\ud800" is no well-formed text`,
    );
    expect(write(new Map(), { step: 1 })).toBe(
      `${path}: cannot write it: its metadata "step" is no string; the format allows no other`,
    );
    const gone = tensor([1]);
    gone.dispose();
    expect(() => writeSafetensors(path, new Map([["gone", gone]]))).toThrow("was used after its release");
    expect(existsSync(path)).toBe(false);
    expect(left()).toEqual([]);
  });
});
