import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { ARM, COMPILERS, tryLoops } from "../../../scripts/compilers.mjs";
import { kernelBuild } from "../src/index.ts";

/** What the processor has, told by the kernel instead of by the compiler, or fewer where the whole run was asked for them. */
function instructionSet(): string {
  const most = process.env.ATEN_CPU_CAPABILITY;
  if (most === "default") return "base";
  const flags =
    readFileSync("/proc/cpuinfo", "utf8")
      .split("\n")
      .find((line) => line.startsWith("flags")) ?? "";
  const has = (...names: string[]) => names.every((name) => flags.split(" ").includes(name));
  if (!has("avx2", "fma")) return "base";
  return most !== "avx2" && has("avx512f", "avx512bw", "avx512dq", "avx512vl") ? "AVX-512" : "AVX2";
}

const installed = (command: string) => spawnSync(command, ["--version"]).status === 0;
const onX64 = process.arch === "x64" && process.platform === "linux";

describe.each(COMPILERS.map((name) => [name, installed(name)] as const))("%s", (compiler, here) => {
  test.skipIf(!here || !onX64).each(["torch", "iqvae"] as const)(
    "compiles the loops of %s, whose versions agree, and picks this processor's",
    async (name) => {
      expect(await tryLoops(name, compiler)).toContain(`, ${instructionSet()}`);
    },
    300_000,
  );
});

test.skipIf(!Object.values(ARM).every(installed)).each(["torch", "iqvae"] as const)(
  "the loops of %s compile for ARM, and run as an emulator runs them",
  async (name) => {
    expect(await tryLoops(name, ARM.compiler, ARM.emulator)).toContain(", base");
  },
  300_000,
);

test.skipIf(!onX64)("the addon runs in the instructions of this processor, or in fewer when asked to", () => {
  expect(kernelBuild().instructionSet).toBe(instructionSet());
  expect(kernelBuild().compiler).toMatch(/\d+\.\d+/);
});
