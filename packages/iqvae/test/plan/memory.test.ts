import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import type { Planned } from "../../src/plan/planned.ts";

const script = fileURLToPath(new URL("../../../../bench/plan-step.mjs", import.meta.url));

const model = { channels: 64, multipliers: [1, 1, 2, 2, 4], blocks: 2, patch: 1, codes: 1024, codeDim: 64 };
const edges: Partial<Planned> = {
  size: 128,
  image: model,
  condition: { kind: "planes", size: [128, 128], inputs: 1, outputs: 1, model },
  precision: "float32",
};
const STEPS: readonly [name: string, stage: 1 | 2, changes: Partial<Planned>][] = [
  ["stage 1", 1, { ...edges, perceptual: null, adversarial: null }],
  ["stage 1 with a network of attributes", 1, { ...edges, perceptual: "attributes", adversarial: null }],
  ["stage 1 with VGG-16", 1, { ...edges, adversarial: null }],
  ["stage 1 with a discriminator", 1, { ...edges, perceptual: null }],
  ["stage 1 with all losses", 1, edges],
  [
    "stage 2",
    2,
    {
      condition: { kind: "tokens", count: 256, codes: 1024 },
      transformer: { layers: 8, width: 512, heads: 8, dropout: 0 },
      precision: "float32",
    },
  ],
];

/** Real steps in a process of their own, as the largest size of this one says nothing. */
test.runIf(existsSync("/proc/self/status")).each(STEPS)(
  "a real step of %s at batch 1 takes the memory that was estimated, within a fifth",
  (_name, stage, changes) => {
    // The preset has VGG-16, a discriminator and a regularizer.
    const options = ["--preset", "paper-celeba-hq", "--with", JSON.stringify(changes), "--stage", `${stage}`];
    const env = { ...process.env, OMP_NUM_THREADS: "1" };
    const out = execFileSync(process.execPath, [script, "--threads", "1", ...options], { encoding: "utf8", env });
    const { estimated, measured } = JSON.parse(out.trim().split("\n").at(-1)!) as Record<string, number>;
    expect(estimated! / measured!).toBeGreaterThan(0.8);
    expect(estimated! / measured!).toBeLessThan(1.2);
  },
  120_000,
);
