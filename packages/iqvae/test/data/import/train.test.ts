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

const painted = (name: string, number = 0) => ({ name, color: `#0000${number.toString(16).padStart(2, "0")}` });
const many = (count: number) => Array.from({ length: count }, (_, i) => `c${i}`);
const points = ["head", "hand"];

test.each([
  [
    { condition: "smell" },
    'data.condition is "smell"; choose one of semantic, lines, edges, keypoints, layout, text, audio',
  ],
  [{ condition: "lines", color: 1 }, "unknown key 'data.color'"],
  [{ condition: "text", lenght: 1 }, "unknown key 'data.lenght'; did you mean 'length'?"],
  [{ condition: "semantic" }, "data.classes is missing"],
  [{ condition: "semantic", classes: [] }, "data.classes is a list of length 0, but its length must be at least 1"],
  [{ condition: "semantic", classes: {} }, "data.classes is {}, but must be a list"],
  [
    { condition: "semantic", classes: many(257) },
    "data.classes is a list of length 257, but its length must be at most 256",
  ],
  [
    { condition: "layout", classes: many(256) },
    "data.classes is a list of length 256, but its length must be at most 255",
  ],
  [{ condition: "semantic", classes: [painted("sky"), { name: "sea" }] }, "data.classes.1.color is missing"],
  [{ condition: "semantic", classes: ["sky", painted("sea")] }, "data.classes.1 is {"],
  [
    { condition: "semantic", classes: [painted("sky"), { name: "sea", colr: "#000001" }] },
    "unknown key 'data.classes.1.colr'; did you mean 'color'?",
  ],
  [
    { condition: "semantic", classes: [{ name: "sea", color: "blue" }] },
    /data\.classes\.0\.color is "blue": .*#ff8000/,
  ],
  [{ condition: "text", path: "" }, 'data.path is "", but its length must be at least 1'],
  [
    {
      condition: "keypoints",
      points,
      bones: [
        [0, 1],
        [1, 2],
      ],
    },
    /data\.bones\.1\.1 is 2: .* from 0 to 1/,
  ],
  [{ condition: "lines", path: undefined }, "data.path is missing"],
])("a configuration with %j", (over, message) => {
  const config = { ...presets.tiny, data: { name: "folder", path: "x", size: 32, ...over } };
  expect(() => parseConfig(config, "own")).toThrow(ConfigError);
  expect(() => parseConfig(config, "own")).toThrow(message);
});

test.each([
  { condition: "semantic", classes: many(256) },
  { condition: "semantic", classes: many(256).map(painted) },
  { condition: "layout", classes: many(255) },
  { condition: "keypoints", points, bones: [[0, 1]] },
])("a configuration with as much as there may be, %#", (over) => {
  const data = { name: "folder", path: "x", size: 32, ...over };
  expect(parseConfig({ ...presets.tiny, data }, "own").data).toMatchObject(over);
});
