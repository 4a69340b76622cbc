import { readFileSync } from "node:fs";
import { join } from "node:path";
import { manualSeed, noGrad } from "@iqvae/torch";
import { expect, test } from "vitest";
import { conditionFor } from "../../src/conditions/index.ts";
import { type Config, parseConfig, presets } from "../../src/config/index.ts";
import { conditionSpec, openDataset } from "../../src/data/index.ts";
import { IqVae } from "../../src/models/iqvae.ts";
import { Transformer } from "../../src/models/transformer.ts";
import { drawSamples } from "../../src/run/pictures.ts";
import { createRun } from "../../src/run/run-folder.ts";
import { transformerConfig } from "../../src/stage2/config.ts";
import { temporaryFolder } from "./support.ts";

test("pictures of a training are drawn with the averaged weights, which then give way to those that learn", async () => {
  const config = parseConfig(presets.tiny, "test");
  const { data, stage1, stage2 } = config;
  const run = createRun(join(temporaryFolder(), "run"), config);
  const dataset = await openDataset(data);
  manualSeed(1);
  const iqvae = new IqVae(stage1.model, conditionFor(conditionSpec(data), data.size));
  const model = new Transformer(transformerConfig(stage2), iqvae.tokenShape(data.size));
  const turn = () => noGrad(() => model.head.weight.neg_());
  noGrad(() => model.head.weight.normal_(0, 1));
  const pictureOf = async (withAverages: <T>(body: () => T) => T, step: number, changes: Partial<Config> = {}) => {
    const changed = { ...run, config: { ...config, ...changes } };
    return readFileSync(
      await drawSamples(changed, { iqvae, trainer: { model, withAverages } as never }, dataset, step),
    );
  };

  const plain = await pictureOf((body) => body(), 1);
  turn();
  const averaged = await pictureOf((body) => body(), 2);
  turn();
  const drawn = await pictureOf((body) => {
    turn();
    try {
      return body();
    } finally {
      turn();
    }
  }, 3);
  expect(averaged.equals(plain)).toBe(false);
  expect(drawn.equals(averaged)).toBe(true);

  // As configured: of the run's seed, which plays no part where it draws the likeliest tokens alone.
  const sampling = { ...config.sampling, topK: 1 };
  const [other, greedy, otherGreedy] = [
    await pictureOf((body) => body(), 4, { seed: 2 }),
    await pictureOf((body) => body(), 5, { sampling }),
    await pictureOf((body) => body(), 6, { sampling, seed: 2 }),
  ];
  expect(other.equals(plain)).toBe(false);
  expect(greedy.equals(plain)).toBe(false);
  expect(otherGreedy.equals(greedy)).toBe(true);
  dataset.close();
});
