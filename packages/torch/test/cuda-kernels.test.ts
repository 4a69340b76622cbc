import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { findCompiler, LANGUAGE_FLAGS, runCaptured } from "../scripts/toolchain.mjs";

const own = (path: string) => fileURLToPath(new URL(path, import.meta.url));

test("the CUDA kernels of group normalization agree with its definition, run on the processor", async () => {
  const folder = mkdtempSync(join(tmpdir(), "cuda-"));
  try {
    const text = /^R"CUDA\((.*)\)CUDA"\s*$/s.exec(readFileSync(own("../native/cuda/norm_kernels.h"), "utf8"))?.[1];
    writeFileSync(join(folder, "norm_kernels.inc"), text!);
    const program = join(folder, "norm");
    const includes = [own("../native"), own("native"), folder].map((dir) => `-I${dir}`);
    // Vectors are read through pointers of another type, which CUDA allows.
    const flags = [...LANGUAGE_FLAGS, "-Werror", "-Wno-unknown-pragmas", "-fno-strict-aliasing", ...includes];
    const source = own("native/cuda_norm.cc");
    expect(await runCaptured(findCompiler().command, [...flags, source, "-o", program])).toEqual({
      ok: true,
      output: "",
    });
    expect(await runCaptured(program, [])).toEqual({ ok: true, output: "" });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}, 300_000);
