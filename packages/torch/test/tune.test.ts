import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findCompiler } from "../scripts/toolchain.mjs";
import { compiledChild } from "./children/compiled.ts";

interface Told {
  readonly afterImport: { readonly libtorch: boolean; readonly environment: Record<string, string> };
  readonly afterTuning: boolean;
  readonly inUse: boolean;
  readonly threads: number;
  readonly spins?: string;
}

const main = fileURLToPath(new URL("../dist/index.js", import.meta.url));
let child: string;
beforeAll(() => {
  child = compiledChild("process.mjs");
}, 300_000);

interface Ran {
  readonly told: Told;
  readonly stderr: string;
}

/** What was run already is not run again: to load libtorch takes longer than all else here. */
const ran = new Map<string, Ran>();

function run(argument: string, env: Record<string, string | undefined>, cwd?: string): Ran {
  const key = JSON.stringify([argument, env, cwd]);
  const one = ran.get(key) ?? runAnew(argument, env, cwd);
  ran.set(key, one);
  return one;
}

function runAnew(argument: string, env: Record<string, string | undefined>, cwd?: string): Ran {
  const environment = { ...process.env, OMP_NUM_THREADS: undefined, GOMP_SPINCOUNT: undefined, ...env };
  const { stdout, stderr } = spawnSync(process.execPath, [child, main, argument], {
    cwd,
    env: environment,
    encoding: "utf8",
  });
  return { told: JSON.parse(stdout) as Told, stderr };
}

describe("an import", () => {
  test("loads nothing and sets nothing; the first tensor loads libtorch", () => {
    const { told } = run("", { OMP_NUM_THREADS: "1" });
    expect(told.afterImport.libtorch).toBe(false);
    expect(Object.keys(told.afterImport.environment).filter((name) => /^(GOMP|OPENBLAS_T|OMP_W)/.test(name))).toEqual(
      [],
    );
    expect([told.afterTuning, told.inUse, told.threads]).toEqual([false, true, 1]);
  });
});

describe("tuneProcess", () => {
  test("lets threads spin for a short time, unless the environment says how long", () => {
    expect(run("tuned", {}).told.spins).toBe("1000");
    expect(run("tuned", { GOMP_SPINCOUNT: "7" }).told.spins).toBe("7");
    expect(run("", {}).told.spins).toBeUndefined();
  });

  test("warns where libtorch is loaded already, so that nobody thinks its threads are told", () => {
    const late = run("late", {});
    expect(late.stderr).toContain("TORCH_SPINS");
    expect([late.told.spins, late.told.threads]).toEqual([undefined, availableParallelism()]);
    for (const quiet of [run("late", { GOMP_SPINCOUNT: "7" }), run("tuned", {})])
      expect(quiet.stderr).not.toContain("TORCH_SPINS");
  });

  test("takes all cores, or what OMP_NUM_THREADS says", () => {
    expect(run("tuned", {}).told.threads).toBe(availableParallelism());
    expect(run("tuned", { OMP_NUM_THREADS: "3" }).told.threads).toBe(3);
  });

  test.each(["3,2", " 3 , 1"])("takes the first number of OMP_NUM_THREADS='%s', without a warning", (value) => {
    const { told, stderr } = run("tuned", { OMP_NUM_THREADS: value });
    expect(told.threads).toBe(3);
    expect(stderr).not.toContain("TORCH_THREADS");
  });

  test("takes all cores where OMP_NUM_THREADS is empty", () => {
    const { told, stderr } = run("tuned", { OMP_NUM_THREADS: " " });
    expect(told.threads).toBe(availableParallelism());
    expect(stderr).not.toContain("TORCH_THREADS");
  });

  const cores = availableParallelism();
  test.each(["0", "-1", "abc", "2.5", "2,", "4096"])(
    "takes all cores for OMP_NUM_THREADS='%s', and warns once",
    (value) => {
      const { told, stderr } = run("tuned", { OMP_NUM_THREADS: value });
      expect(told.threads).toBe(cores);
      const warnings = stderr.split("\n").filter((line) => line.includes("TORCH_THREADS"));
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toContain(`'${value}'`);
      expect(warnings[0]).toContain(`from 1 to ${4 * cores}`);
    },
  );

  describe.skipIf(process.platform !== "linux" || !process.report.getReport)("malloc", () => {
    const folder = mkdtempSync(join(tmpdir(), "mallopt-"));
    afterAll(() => rmSync(folder, { recursive: true, force: true }));
    // From within its folder, whose path may have spaces, at which LD_PRELOAD ends.
    const calls = (argument: string, env = {}) =>
      run(argument, { LD_PRELOAD: "./mallopt.so", ...env }, folder).stderr.match(/mallopt .*/g) ?? [];
    beforeAll(() => {
      const source = fileURLToPath(new URL("children/mallopt.c", import.meta.url));
      const built = spawnSync(findCompiler().command, [
        "-x",
        "c",
        "-shared",
        "-fPIC",
        source,
        "-o",
        join(folder, "mallopt.so"),
      ]);
      expect(built.status, String(built.stderr)).toBe(0);
    });

    test("is left as it is by an import", () => expect(calls("")).toEqual([]));

    test("keeps blocks of up to 1 GiB", () =>
      expect(calls("tuned")).toEqual([
        `mallopt mmap ${2 ** 30} taken`,
        `mallopt trim ${2 ** 30} taken`,
        `mallopt top ${2 ** 26} taken`,
      ]));

    test("keeps blocks of up to 32 MiB where glibc refuses more", () =>
      expect(calls("tuned", { MALLOPT_MOST: String(2 ** 25) })).toEqual([
        `mallopt mmap ${2 ** 30} refused`,
        `mallopt mmap ${2 ** 25} taken`,
        `mallopt trim ${2 ** 30} taken`,
        `mallopt top ${2 ** 26} taken`,
      ]));
  });
});
