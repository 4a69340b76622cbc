import { join } from "node:path";
import { expect, test } from "vitest";
import { withSettings } from "../../src/config/index.ts";
import { logFigures } from "../../src/reproduce/figures.ts";
import { createRun } from "../../src/run/run-folder.ts";
import { temporaryFolder, tinyConfig } from "../run/support.ts";

const config = withSettings(tinyConfig, ["stage1.steps=10", "stage2.steps=12"], "test");

test("a log's figures: the last reconstruction, the lowest likelihood", () => {
  const run = createRun(join(temporaryFolder(), "run"), config);
  const stage1 = { stage: "stage1", split: "validation", imagePerplexity: 30 } as const;
  run.log.append({ ...stage1, step: 5, imageMse: 0.5, conditionAccuracy: 0.5 });
  run.log.append({ ...stage1, step: 10, imageMse: 0.04, conditionAccuracy: 0.75 });
  run.log.append({ stage: "stage1", split: "train", step: 15, imageMse: 9 });
  for (const [step, bits] of [
    [4, 3],
    [8, 2],
    [12, 2.5],
  ] as const)
    run.log.append({ stage: "stage2", split: "validation", step, bits });
  run.log.close();
  expect(logFigures(run)).toEqual({
    // Values lie in [−1, 1], so the peak is 2: 10 log₁₀(2² / 0.04).
    psnr: 20,
    "codebook.image.perplexity": 30,
    "condition.accuracy": 0.75,
    bitsPerToken: 2,
    // An image has 4 × 4 tokens.
    bitsAnImage: 32,
  });
});

test.each([
  ["is empty", []],
  [
    "lacks the end of stage 1",
    [
      ["stage1", 5],
      ["stage2", 12],
    ],
  ],
  [
    "lacks the end of stage 2",
    [
      ["stage1", 10],
      ["stage2", 8],
    ],
  ],
] as const)("a log that %s has no figures", (_, lines) => {
  const run = createRun(join(temporaryFolder(), "run"), config);
  for (const [stage, step] of lines) run.log.append({ stage, step, split: "validation", imageMse: 0.5, bits: 2 });
  run.log.close();
  expect(() => logFigures(run)).toThrow(/metrics\.jsonl does not say how both stages ended.*delete .*run, and it is/);
});
