import { join } from "node:path";
import { liveTensors, manualSeed, noGrad } from "@iqvae/torch";
import { expect, test } from "vitest";
import { settledTensors } from "../../../torch/test/collect.ts";
import { conditionFor } from "../../src/conditions/index.ts";
import { parseConfig, presets } from "../../src/config/index.ts";
import { conditionSpec } from "../../src/data/index.ts";
import { IqVae } from "../../src/models/iqvae.ts";
import { Transformer } from "../../src/models/transformer.ts";
import { saveCheckpoint } from "../../src/run/checkpoint.ts";
import { createRun, type RunFolder } from "../../src/run/run-folder.ts";
import { ImageGenerator } from "../../src/sampling/generator.ts";
import { openModels } from "../../src/serve/catalog.ts";
import { type BatchEvents, drawBatch } from "../../src/serve/drawer/batch.ts";
import { loadModel } from "../../src/serve/drawer/load.ts";
import type { Part } from "../../src/serve/drawer/protocol.ts";
import { transformerConfig } from "../../src/stage2/config.ts";
import { prefixed } from "../../src/support/tensor-names.ts";
import { temporaryFolder } from "../run/support.ts";

/** A run whose models have weights of chance. */
function someRun(conditionDropout: number): RunFolder {
  const { stage2, ...rest } = presets.tiny;
  const sampling = { temperature: 0.9 };
  const config = parseConfig(
    { ...rest, stage2: { ...stage2, conditionDropout }, sampling, precision: "float32" },
    "test",
  );
  manualSeed(1);
  const iqvae = new IqVae(config.stage1.model, conditionFor(conditionSpec(config.data), config.data.size));
  const transformer = new Transformer(transformerConfig(config.stage2), iqvae.tokenShape(config.data.size));
  // Predictions that depend on what is given, as a trained model's do.
  noGrad(() => {
    for (const weight of transformer.namedParameters().values()) if (weight.ndim === 2) weight.mul_(8);
  });
  const run = createRun(join(temporaryFolder(), "chance"), config);
  const loader = { epoch: 0, position: 0 };
  const content = { step: 1, loader, means: { count: 0, sums: {} }, trainer: {}, evaluation: null };
  saveCheckpoint(run.checkpoints, { ...content, stage: "stage1" }, new Map(prefixed("model.", iqvae.stateDict())));
  saveCheckpoint(run.checkpoints, { ...content, stage: "stage2" }, new Map(prefixed("ema.", transformer.stateDict())));
  return run;
}

const quiet: BatchEvents = { onProgress() {}, onFrame() {}, isDropped: () => false };
const map = (step: number) => Uint8Array.from({ length: 1024 }, (_, i) => ((i >> 4) * step) % 13);
const part = (condition: Uint8Array, rest: Partial<Part["sampling"]>, count = 1): Part => ({
  condition,
  sampling: { seed: 1, temperature: 1, topP: 1, guidance: 1, ...rest },
  first: 0,
  count,
  frames: true,
});

test("a run is drawn by libtorch, as iqvae sample draws it, guided parts beside plain ones", async () => {
  const run = someRun(0.1);
  const served = openModels([run.path]).get("chance")!;
  expect([served.kind, served.guidable, served.size]).toEqual(["run", true, 32]);
  expect(served.sampling).toEqual({ temperature: 0.9, topK: null, topP: 1, guidance: 1 });
  const model = await loadModel(served);
  expect(model.engine.name).toBe("libtorch");
  const parts = [part(map(3), { seed: 4 }, 2), part(map(5), { guidance: 3 }), part(map(3), { topK: 9 })];
  const drawn = await drawBatch(model, parts, quiet);
  using generator = ImageGenerator.load(run);
  for (const [i, { condition, sampling, count }] of parts.entries()) {
    const [images] = generator.draw([condition], { ...sampling, samples: count });
    const each = drawn[i]!;
    expect(each.kind === "pictures" ? each.pictures.map(({ pixels }) => pixels) : each.kind).toEqual(images);
  }
});

test("libtorch keeps the caches of one batch, and gives the models back", async () => {
  const run = someRun(0);
  expect(openModels([run.path]).get("chance")!.guidable).toBe(false);
  const before = await settledTensors();
  const model = await loadModel(openModels([run.path]).get("chance")!);
  await drawBatch(model, [part(map(3), {})], quiet);
  const after = liveTensors();
  for (let i = 0; i < 3; i++) await drawBatch(model, [part(map(i), {})], quiet);
  expect(liveTensors()).toBe(after);
  await model.engine.release();
  expect(liveTensors() - before).toBeLessThan(after - before);
});
