import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const script = fileURLToPath(new URL("../../../../bench/plan-step.mjs", import.meta.url));

const half = { channels: 64, multipliers: [1, 1, 2, 2, 4], blocks: 2, patch: 1, codes: 1024, codeDim: 64 };
const SMALL = [
  "precision=float32",
  "data.size=128",
  `stage1.model=${JSON.stringify({ image: half, condition: half })}`,
  "stage1.batch=1",
  'stage2.model={"layers":8,"width":512,"heads":8,"dropout":0}',
  "stage2.exposure.kind=teacher",
  "stage2.batch=1",
];
const STEPS: readonly [name: string, stage: 1 | 2, settings: readonly string[]][] = [
  ["stage 1", 1, ["stage1.perceptual=null", "stage1.adversarial=null"]],
  ["stage 1 with VGG-16", 1, ["stage1.adversarial=null"]],
  ["stage 1 with all losses", 1, []],
  ["stage 2", 2, []],
];

/** Real steps in a process of their own, as the largest size of this one says nothing. */
test.runIf(existsSync("/proc/self/status")).each(STEPS)(
  "a real step of %s at batch 1 takes the memory that was estimated, within a fifth",
  (_name, stage, settings) => {
    const set = [...SMALL, ...settings].flatMap((setting) => ["--set", setting]);
    const options = ["--preset", "paper-celeba-hq", "--stage", `${stage}`, ...set];
    const env = { ...process.env, OMP_NUM_THREADS: "1" };
    const out = execFileSync(process.execPath, [script, "--threads", "1", ...options], { encoding: "utf8", env });
    const { estimated, measured } = JSON.parse(out.trim().split("\n").at(-1)!) as Record<string, number>;
    expect(estimated! / measured!).toBeGreaterThan(0.8);
    expect(estimated! / measured!).toBeLessThan(1.2);
  },
);
