/**
 * Compiles `kernels/*.ts`, which are AssemblyScript, and writes both modules into `src/engines/kernels.ts`:
 *
 *     node packages/runtime/scripts/build-kernels.mjs
 *
 * What it writes is committed, so that only those who change a kernel need the compiler. A test compares.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { main } from "assemblyscript/asc";

const source = fileURLToPath(new URL("../kernels/index.ts", import.meta.url));
const target = fileURLToPath(new URL("../src/engines/kernels.ts", import.meta.url));

/** @returns {Promise<Uint8Array>} the module */
async function compile(features) {
  const folder = mkdtempSync(join(tmpdir(), "kernels-"));
  const out = join(folder, "kernels.wasm");
  try {
    const enabled = features.flatMap((feature) => ["--enable", feature]);
    const options = ["-O3", "--converge", "--noAssert", "--runtime", "stub", "--importMemory", ...enabled];
    const { error, stderr } = await main([source, "--outFile", out, ...options]);
    if (error) throw new Error(`${error.message}\n${stderr.toString()}`);
    return readFileSync(out);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The text of `src/engines/kernels.ts`. */
export async function kernelModule() {
  const plain = await compile(["simd"]);
  const relaxed = await compile(["simd", "relaxed-simd"]);
  return `// Written by scripts/build-kernels.mjs from kernels/*.ts; do not edit.

/** The kernels as WebAssembly with SIMD, in Base64. */
export const PLAIN = "${plain.toString("base64")}";

/** The same with relaxed SIMD, whose multiplications and additions are one instruction. */
export const RELAXED = "${relaxed.toString("base64")}";
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const text = await kernelModule();
  writeFileSync(target, text);
  console.log(`${target}: ${text.length} bytes`);
}
