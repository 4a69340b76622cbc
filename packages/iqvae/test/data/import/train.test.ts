import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ConfigError, loadConfig, parseConfig, presets } from "../../../src/config/index.ts";
import { openDataset } from "../../../src/data/index.ts";
import { createRun } from "../../../src/run/run-folder.ts";
import { trainRun } from "../../../src/run/train-run.ts";
import { ImageGenerator } from "../../../src/sampling/generator.ts";
import { silent } from "../../../src/support/progress.ts";
import { temporaryFolder } from "../../run/support.ts";
import { png, put, tree } from "./trees.ts";

test("a folder of pairs, from its configuration's file to images", async () => {
  const path = tree({});
  for (let i = 0; i < 60; i++) {
    const edge = 8 + (i % 16);
    put(path, {
      [`image/${i}.png`]: await png(32, 32, (x) => (x < edge ? [200, 9 * (i % 20), 0] : [0, 0, 200])),
      [`condition/${i}.png`]: await png(32, 32, (x) => (x < edge ? [255, 255, 255] : [16, 32, 48])),
    });
  }
  put(path, { "condition/3.png": "broken" });
  const folder = temporaryFolder();
  process.env.IQVAE_CACHE = join(folder, "cache");
  const classes = [
    { name: "left", color: "#ffffff" },
    { name: "right", color: "#102030" },
  ];
  const file = join(folder, "own.json");
  writeFileSync(
    file,
    JSON.stringify({
      preset: "tiny",
      name: "own",
      data: { name: "folder", path, size: 32, condition: "semantic", classes },
    }),
  );
  const config = loadConfig(file, [
    "stage1.steps=12",
    "stage2.steps=6",
    "stage1.warmup=2",
    "stage2.warmup=2",
    "checkpointEvery=6",
    "evaluateEvery=6",
    "sampleEvery=6",
  ]);
  const run = createRun(join(folder, "run"), config);
  expect(await trainRun(run, { progress: silent, interrupt: { requested: false } })).toBe("finished");
  expect(existsSync(join(run.samples, "stage2-00000006.png"))).toBe(true);

  const generator = ImageGenerator.load(run);
  const dataset = await openDataset(config.data);
  expect(dataset.report?.problems).toMatchObject([{ kind: "corrupt file", count: 1, named: [{ pair: "3" }] }]);
  expect(generator.spec).toEqual(dataset.condition);
  const [images] = generator.draw([dataset.validation.batch([0]).conditions], { samples: 2, seed: 1 });
  expect(images?.map((one) => one.length)).toEqual([3072, 3072]);
  dataset.close();
});

test.each([
  [
    { condition: "smell" },
    'data.condition is "smell"; choose one of semantic, lines, edges, keypoints, layout, text, audio',
  ],
  [{ condition: "lines", color: 1 }, "unknown key 'data.color'"],
  [{ condition: "text", lenght: 1 }, "unknown key 'data.lenght'; did you mean 'length'?"],
  [{ condition: "semantic" }, "data.classes is missing"],
  [{ condition: "lines", path: undefined }, "data.path is missing"],
])("a configuration with %j", (over, message) => {
  const config = { ...presets.tiny, data: { name: "folder", path: "x", size: 32, ...over } };
  expect(() => parseConfig(config, "own")).toThrow(ConfigError);
  expect(() => parseConfig(config, "own")).toThrow(message);
});
