import fs, { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { noGrad, ops, readSafetensors, scope, type Tensor, tensor, WriteError, writeSafetensors } from "@iqvae/torch";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { goldenPath } from "./goldens.ts";
import { DTYPES, failure, reference, temporaryFile } from "./safetensors-support.ts";
import { mountSmallDisk, unmount } from "./small-disk.ts";

const file = temporaryFile();

describe("writing", () => {
  test("the bytes are those of the reference implementation", () => {
    writeSafetensors(file.path, reference(), { format: "pt" });
    expect(readFileSync(file.path).equals(readFileSync(goldenPath("reference.safetensors")))).toBe(true);
    writeSafetensors(file.path, new Map());
    expect(readFileSync(file.path).equals(readFileSync(goldenPath("reference-empty.safetensors")))).toBe(true);
  });

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
          writeSafetensors(file.path, made, about);
          const back = readSafetensors(file.path);
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
    writeSafetensors(file.path, views);
    const { tensors } = readSafetensors(file.path);
    for (const [name, view] of views) expect(tensors.get(name)?.toTypedArray(), name).toEqual(view.toTypedArray());
    expect(tensors.get("leaf")?.requiresGrad).toBe(false);
    expect(tensors.get("channels_last")?.strides).toEqual([24, 12, 4, 1]);
  });

  test("tensors larger than a piece go through whole", () => {
    const values = new Int32Array(5_000_001).map((_, i) => i * 7);
    writeSafetensors(file.path, new Map([["large", tensor(values)]]));
    const back = readSafetensors(file.path).tensors.get("large")?.read("int32") ?? new Int32Array();
    expect(Buffer.from(back.buffer).equals(Buffer.from(values.buffer))).toBe(true);
  });
});

describe("writing that fails", () => {
  const content = () => new Map([["x", ops.aten.ones([1000])]]);
  const left = () => readdirSync(file.folder).sort();

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
    ["writeSync", "ENOSPC", 1, "the disk is full"],
    ["writeSync", "ENOSPC", 2, "the disk is full"],
    ["writeSync", "EDQUOT", 2, "the disk quota is used up"],
    ["fsyncSync", "EIO", 1, "EIO: refused, fsyncSync"],
    ["renameSync", "EACCES", 1, "the permissions do not allow it"],
    ["openSync", "EROFS", 1, "FOLDER is on a read-only disk"],
  ] as const)("%s: %s at call %i keeps the old file and leaves no other", (name, code, call, reason) => {
    writeSafetensors(file.path, new Map([["old", tensor([1])]]));
    const before = readFileSync(file.path);
    const error = failure(() => failing(name, code, call, () => writeSafetensors(file.path, content())));
    expect(error).toBeInstanceOf(WriteError);
    expect(error.message).toContain(`Could not write ${file.path}: ${reason.replace("FOLDER", file.folder)}`);
    expect((error.cause as NodeJS.ErrnoException).code).toBe(code);
    expect(readFileSync(file.path).equals(before)).toBe(true);
    expect(left()).toEqual(["file.safetensors"]);
  });

  test("short writes are continued", () => {
    const { writeSync } = fs;
    fs.writeSync = ((file: number, bytes: Uint8Array, offset: number) =>
      writeSync(file, bytes, offset, Math.min(bytes.length - offset, 7))) as typeof writeSync;
    syncBuiltinESMExports();
    try {
      writeSafetensors(file.path, content());
    } finally {
      fs.writeSync = writeSync;
      syncBuiltinESMExports();
    }
    expect(readSafetensors(file.path).tensors.get("x")?.read("float32")).toEqual(new Float32Array(1000).fill(1));
  });

  test("a disk that is really full", ({ skip }) => {
    // Needs a file system of our own making; only root can mount one, and not in every container.
    const { status } = mountSmallDisk(file.folder);
    if (status !== 0) skip("this process may not mount a file system");
    try {
      const target = join(file.folder, "x.safetensors");
      writeSafetensors(target, content());
      const error = failure(() => writeSafetensors(target, new Map([["x", ops.aten.ones([1 << 20])]])));
      expect(error.message).toContain(`the disk is full. Make room on the disk of ${file.folder}`);
      expect(left()).toEqual(["x.safetensors"]);
      expect(readSafetensors(target).tensors.get("x")?.numel()).toBe(1000);
    } finally {
      unmount(file.folder);
    }
  });

  test("a folder that is not there, a folder in the way", () => {
    const deep = join(file.folder, "no", "file");
    expect(failure(() => writeSafetensors(deep, content())).message).toContain(
      `Could not write ${deep}: there is no folder ${join(file.folder, "no")}`,
    );
    mkdirSync(file.path);
    expect(failure(() => writeSafetensors(file.path, content())).message).toContain("it is a folder");
    expect(left()).toEqual(["file.safetensors"]);
  });

  test("what the format cannot hold is told before a file is touched", () => {
    const write = (tensors: Map<string, Tensor>, metadata = {}) =>
      failure(() => writeSafetensors(file.path, tensors, metadata)).message;
    expect(write(new Map([["z", ops.aten.view_as_complex(ops.aten.ones([1, 2]))]]))).toBe(
      `${file.path}: cannot write it: tensor "z" is complex64, which the format does not have; convert it first`,
    );
    expect(write(new Map([["__metadata__", tensor([1])]]))).toBe(
      `${file.path}: cannot write it: no tensor can be named __metadata__: the format keeps the name for itself`,
    );
    expect(write(new Map([["\ud800", tensor([1])]]))).toBe(
      `${file.path}: cannot write it: "\\ud800" is not well-formed text`,
    );
    expect(write(new Map(), { step: 1 })).toBe(
      `${file.path}: cannot write it: its metadata "step" is not a string; the format allows nothing else`,
    );
    const gone = tensor([1]);
    gone.dispose();
    expect(() => writeSafetensors(file.path, new Map([["gone", gone]]))).toThrow("was used after its release");
    expect(existsSync(file.path)).toBe(false);
    expect(left()).toEqual([]);
  });
});
