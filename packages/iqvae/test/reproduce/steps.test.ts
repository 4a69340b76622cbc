import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { manualSeed, scope } from "@iqvae/torch";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { presets, withSettings } from "../../src/config/index.ts";
import { AttributesNetwork, attributesFeatures } from "../../src/features/attributes.ts";
import { type Figure, scoreRun, Truths } from "../../src/metrics/index.ts";
import { type Judges, scoresOf } from "../../src/reproduce/score.ts";
import { CheckpointError, checkpointPath, readCheckpoint, readCheckpointTensors } from "../../src/run/checkpoint.ts";
import { createRun, openRun } from "../../src/run/run-folder.ts";
import { trainRun } from "../../src/run/train-run.ts";
import { type Progress, silent } from "../../src/support/progress.ts";

const KEPT = [2, 4];
const LAST = 9;
const config = withSettings(
  presets.tiny,
  [
    ...["stage1.steps=4", "stage1.warmup=0", `stage2.steps=${LAST}`, "stage2.warmup=0"],
    ...["checkpointEvery=3", "evaluateEvery=3", `keepAt=[${KEPT}]`],
  ],
  "test",
);
const folder = mkdtempSync(join(tmpdir(), "iqvae-"));
const path = join(folder, "run");
beforeAll(async () => {
  await trainRun(createRun(path, config), { progress: silent, interrupt: { requested: false } });
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The weights of the transformer's last layer. */
const weightsOf = (step?: number) => {
  const { transformer } = openRun(path).loadModels(step);
  const [name, tensor] = [...transformer.stateDict()].at(-1)!;
  return { name, values: Array.from(scope(() => tensor.read("float32"))) };
};

describe("the weights after a step of stage 2", () => {
  test.each([...KEPT, LAST])("are the averaged ones of its checkpoint: step %i", (step) => {
    const description = checkpointPath(openRun(path).checkpoints, "stage2", step);
    const tensors = readCheckpointTensors(description, readCheckpoint(description), "ema.");
    const { name, values } = weightsOf(step);
    expect(values).toEqual(Array.from(tensors.get(`ema.${name}`)!.read("float32")));
  });

  test("differ from step to step; a step that was not kept is named with those that were", () => {
    const all = [...KEPT, LAST].map((step) => JSON.stringify(weightsOf(step).values));
    expect(new Set(all).size).toBe(3);
    const left = (() => {
      try {
        return weightsOf(3);
      } catch (error) {
        return error;
      }
    })();
    expect(left).toBeInstanceOf(CheckpointError);
    expect(String(left)).toMatch(/at step 3, only at 9, 6, 4, 2\..*keepAt/);
  });
});

/** The SWD's histograms span all sets that are measured together, so that its last digits depend on these. */
function expectAlike(figures: readonly Figure[], others: readonly Figure[]): void {
  const [swd, exact] = [true, false].map(
    (wanted) => (all: readonly Figure[]) => all.filter(({ key }) => key.startsWith("swd") === wanted),
  );
  expect(exact!(figures)).toEqual(exact!(others));
  for (const [i, { key, value, real }] of swd!(figures).entries()) {
    const other = swd!(others)[i]!;
    expect(key).toBe(other.key);
    expect(value / other.value, key).toBeCloseTo(1, 4);
    expect(real! / other.real!, key).toBeCloseTo(1, 4);
  }
}

test("steps are scored together as each alone, and found again", async () => {
  manualSeed(3);
  const net = new AttributesNetwork([{ name: "hair", classes: 4 }], 13);
  let looks = 0;
  const network = attributesFeatures(net, "attributes-test", "abc");
  const features: typeof network.features = (pixels) => {
    looks++;
    return network.features(pixels);
  };
  const fidelity = { networks: {}, score: () => [] };
  const judges: Judges = { network: { ...network, features }, fidelity, truths: new Truths() };
  const run = openRun(path);
  const together = await scoresOf(run, [2, 4, LAST], "report", judges, silent);
  const of = (key: string) => together.map((figures) => figures.find((figure) => figure.key === key)!.value);
  // Stage 1 is one and the same.
  for (const key of ["psnr", "triple.reconstruction.colors"]) expect(new Set(of(key)).size, key).toBe(1);
  for (const key of ["bitsPerToken", "triple.total.colors"]) expect(new Set(of(key)).size, key).toBe(3);

  const alone = await scoreRun(
    { ...run, loadModels: () => run.loadModels(4) },
    { conditions: 512, part: "report", samples: 4, seed: 1, networks: [network], fidelity },
  );
  expectAlike(together[1]!, alone.figures);

  // Another scoring finds what is known of true images and of other steps, and says the same.
  const scores = join(path, "scores.json");
  const written = readFileSync(scores, "utf8");
  writeFileSync(scores, "null");
  await expect(scoresOf(run, [4], "report", judges, silent)).rejects.toThrow(
    /scores\.json does not hold scores: .*Delete/s,
  );
  const [kept] = Object.entries(JSON.parse(written) as Record<string, Figure[]>);
  writeFileSync(scores, JSON.stringify(Object.fromEntries([kept!])));
  const [first, again] = await scoresOf(run, [2, 4], "report", judges, silent);
  expect(first).toEqual(together[0]);
  expectAlike(again!, alone.figures);
  await expect(scoresOf(run, [4], "tune", judges, silent)).rejects.toThrow(/of one data set.*report.*tune/);

  const before = looks;
  expect(await scoresOf(openRun(path), [4], "report", judges, silent)).toEqual([again]);
  expect(looks).toBe(before);
  await expect(scoresOf(run, [3], "report", judges, silent)).rejects.toThrow(CheckpointError);
  // Nor are figures of other networks those of these, of whichever kind.
  const drawing: Progress = {
    ...silent,
    begin(task) {
      throw new Error(`${task} anew`);
    },
  };
  for (const other of [
    { network: { ...network, digest: "other" } },
    { fidelity: { ...fidelity, networks: { reader: "other" } } },
  ])
    await expect(scoresOf(run, [4], "report", { ...judges, ...other }, drawing)).rejects.toThrow("drawing images anew");
  // Figures of other weights are not those of the step.
  writeFileSync(checkpointPath(run.checkpoints, "stage2", 4), "other weights");
  await expect(scoresOf(run, [4], "report", judges, silent)).rejects.toThrow(CheckpointError);
});
