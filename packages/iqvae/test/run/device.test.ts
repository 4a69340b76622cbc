import { setDefaultDevice, type Tensor } from "@iqvae/torch";
import { expect, onTestFinished, test } from "vitest";
import { parseConfig, presets } from "../../src/config/index.ts";
import { batchTensors, conditionSpec } from "../../src/data/index.ts";
import { AttributesNetwork } from "../../src/features/attributes.ts";
import { Stage1Trainer } from "../../src/stage1/trainer.ts";
import { TokenPairs, tokenArray } from "../../src/stage2/token-pairs.ts";
import { Stage2Trainer } from "../../src/stage2/trainer.ts";

/** `meta` stands in for a GPU: what is made on it has no memory, and what is not would be seen. */
test("all that trainers keep, and the batches they are fed, are on the default device", () => {
  setDefaultDevice("meta");
  onTestFinished(() => setDefaultDevice("cpu"));
  const adversarial = { channels: 8, layers: 1 };
  const config = parseConfig({ ...presets.tiny, stage1: { ...presets.tiny.stage1, adversarial } }, "test");
  const { data, precision } = config;
  const split = {
    length: 2,
    ids: ["a", "b"],
    batch: () => ({ images: new Uint8Array(2 * 3 * data.size ** 2), conditions: new Uint8Array(2 * data.size ** 2) }),
  };
  const dataset = {
    name: data.name,
    key: "made up",
    size: data.size,
    condition: conditionSpec(data),
    train: split,
    validation: split,
    licenses: [],
    close() {},
  };
  const shape = { conditionCodes: 8, conditionTokens: 4, imageCodes: 8, imageTokens: 4 };
  const tokens = new TokenPairs(shape, tokenArray(8, 8), tokenArray(8, 8));

  const kept: [string, Tensor][] = [
    ...new Stage1Trainer({ config: config.stage1, precision, dataset }).tensors(),
    ...new Stage2Trainer({ config: config.stage2, precision, train: tokens, validation: tokens }).tensors(),
    ...new AttributesNetwork([], 2).stateDict(),
    ...Object.entries(batchTensors(split.batch(), 2, dataset)),
    ...Object.entries(tokens.batch([0, 1])),
  ];
  expect(kept.length).toBeGreaterThan(100);
  // The optimizer's counts of updates are plain numbers outside of checkpoints.
  const elsewhere = kept.filter(([name, tensor]) => tensor.device !== "meta" && !name.endsWith(".updates"));
  expect(elsewhere.map(([name]) => name)).toEqual([]);
});
