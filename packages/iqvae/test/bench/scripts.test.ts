import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const SMALL_TRANSFORMER = ["--layers", "1", "--width", "32", "--heads", "2", "--codes", "128", "--batch", "2"];

/** Each with the smallest work that goes through all of it, and a figure that it must print. */
const SCRIPTS: readonly [script: string, figure: string, flags: readonly string[]][] = [
  ["op-overhead.mjs", "microseconds", []],
  ["stage1-step.mjs", "peakMiB", ["--steps", "1", "--warmup", "3", "--batch", "2"]],
  ["stage2-step.mjs", "tokens/s", ["--repeats", "1", "--inner", "1", "--tokens", "8", ...SMALL_TRANSFORMER]],
  ["utilization.mjs", "share", ["--stage", "1", "--repeats", "1", "--batch", "2", "--side", "64"]],
  ["utilization.mjs", "share", ["--stage", "2", "--repeats", "1", "--batch", "1", "--side", "64"]],
  ["sample.mjs", "tokens/s", ["--repeats", "1", "--tokens", "8", ...SMALL_TRANSFORMER]],
  ["gw-sliced.mjs", "seconds", []],
  ["regularizer-share.mjs", "share", ["--repeats", "1"]],
  ["metrics.mjs", "processor seconds", ["--images", "32", "--size", "32", "--pairs", "100"]],
  ["processes.mjs", "stage1Gain", ["--threads", "2", "--repeats", "1", "--preset", "tiny"]],
  ["plan-step.mjs", "ratio", ["--preset", "tiny", "--steps", "1"]],
];

/** The JSON lines of a script. */
function linesOf(script: string, flags: readonly string[]): Record<string, unknown>[] {
  const path = fileURLToPath(new URL(`../../../../bench/${script}`, import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [path, ...flags], { encoding: "utf8" });
  expect(status, stderr).toBe(0);
  return stdout
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));
}

test("bench/runtime-browser.mjs draws the same tokens with all engines in Chromium, and compares their times", () => {
  const lines = linesOf("runtime-browser.mjs", ["--repeats", "1", "--only", "start-1"]);
  expect(lines).toMatchObject([{ model: "start", samples: 1, equal: [true, true, true] }]);
  expect(lines[0]!.wallRatio).toBeGreaterThan(0);
});

test.each(SCRIPTS)("bench/%s runs and prints %s", (script, figure, flags) => {
  const figures = linesOf(script, ["--threads", "1", ...flags]).flatMap((line) => line[figure] ?? []);
  expect(figures.length).toBeGreaterThan(0);
  for (const value of figures) expect(value).toBeGreaterThan(0);
});

test("gpu-check, on the processor in the place of a GPU, passes all checks of kernels, writes them, and says what failed", () => {
  const script = fileURLToPath(new URL("../../../../scripts/gpu-check.mjs", import.meta.url));
  const folder = mkdtempSync(join(tmpdir(), "gpu-check-"));
  try {
    const run = (device: string) => {
      const out = join(folder, `${device}.json`);
      const { status } = spawnSync(process.execPath, [script, "--device", device, "--parts", "kernels", "--out", out]);
      const { parts } = JSON.parse(readFileSync(out, "utf8")) as {
        parts: { kernels: { checks: { name: string; ok: boolean; error?: string }[] } };
      };
      return { status, checks: parts.kernels.checks };
    };
    const { status, checks } = run("cpu");
    expect(checks.filter(({ ok }) => !ok)).toEqual([]);
    expect(checks.map(({ name }) => name)).toContain("adamw_, lerp_ and global_norm");
    expect(status).toBe(0);
    // A device without values fails, check by check, and does not stop the rest.
    const meta = run("meta");
    expect(meta.status).toBe(1);
    expect(meta.checks).toHaveLength(checks.length);
    expect(meta.checks.find(({ name }) => name === "attention")).toMatchObject({ ok: false });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
