import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { expect, test } from "vitest";
import { stage2Cost } from "../../src/plan/cost.ts";
import type { Planned } from "../../src/plan/planned.ts";

const model = { channels: 64, multipliers: [1, 1, 2, 2, 4], blocks: 2, patch: 1, codes: 1024, codeDim: 64 } as const;
const planned: Planned = {
  name: "test",
  data: "none",
  size: 256,
  image: model,
  condition: { kind: "tokens", count: 256, codes: 1024 },
  stage1Batch: 1,
  transformer: { layers: 8, width: 512, heads: 8, dropout: 0 },
  exposure: { kind: "teacher" },
  stage2Batch: 1,
  accumulate: 1,
  precision: "float32",
};

/** Two real steps in a process of their own; prints by how many bytes its largest size grew. */
const CHILD = `
const { readFileSync } = await import("node:fs");
const { stage2Trial } = await import(process.argv[1]);
const size = (name) => 1024 * Number(new RegExp(name + ":\\\\s+(\\\\d+)").exec(readFileSync("/proc/self/status", "utf8"))[1]);
const before = size("VmRSS");
const [transformer, tokens] = JSON.parse(process.argv[2]);
const trial = stage2Trial(transformer, tokens, "float32", 1);
for (let i = 0; i < 2; i++) { trial.pass(); trial.update(); }
console.log(size("VmHWM") - before);
`;

test.runIf(existsSync("/proc/self/status"))(
  "a real step at batch 1 takes the memory that was estimated, within 20 %",
  () => {
    const tokens = { conditionCodes: 1024, conditionTokens: 256, imageCodes: 1024, imageTokens: 256 };
    const measure = new URL("../../dist/plan/measure.js", import.meta.url).href;
    const args = ["--input-type=module", "-e", CHILD, measure, JSON.stringify([planned.transformer, tokens])];
    const env = { ...process.env, OMP_NUM_THREADS: "1" };
    const measured = Number(execFileSync(process.execPath, args, { encoding: "utf8", env }));
    const { memory, parameters } = stage2Cost(planned, 1, 1);
    const estimated = memory.peak - 4 * parameters; // the trial keeps no averaged weights
    expect(estimated / measured).toBeGreaterThan(0.8);
    expect(estimated / measured).toBeLessThan(1.2);
  },
  120_000,
);
