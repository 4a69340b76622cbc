import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type ConfigInput, parseConfig, presets } from "../../src/config/index.ts";
import { openDataset } from "../../src/data/index.ts";
import type { Fidelity } from "../../src/metrics/fidelity/measure.ts";
import { scoreRun } from "../../src/metrics/score.ts";
import { createRun, type RunFolder } from "../../src/run/run-folder.ts";
import { trainRun } from "../../src/run/train-run.ts";
import { ImageGenerator } from "../../src/sampling/generator.ts";
import { silent } from "../../src/support/progress.ts";
import { temporaryFolder } from "./support.ts";

const PLANES = ["hands", "scenes"] as const;
const SEQUENCES = ["words", "speech"] as const;

test.each([...PLANES, ...SEQUENCES])("%s: from data to images, at the smallest scale", async (name) => {
  const folder = temporaryFolder();
  process.env.IQVAE_CACHE = join(folder, "cache");
  const { tiny } = presets;
  const { image } = tiny.stage1.model;
  // Of words enough that several drawings of one caption are held out; to speak takes longest.
  const data = {
    name,
    condition: presets[name].data.condition,
    size: 32,
    count: { hands: 60, scenes: 60, words: 4000, speech: 24 }[name],
  } as ConfigInput["data"];
  const condition = name === "words" ? { ...image, patch: 1 as const } : image;
  const regularizer = {
    estimator: (PLANES as readonly string[]).includes(name) ? "paired" : "sliced",
    weight: 0.2,
  } as const;
  const config = parseConfig(
    {
      ...tiny,
      data,
      stage1: { ...tiny.stage1, model: { image, condition }, regularizer, steps: 12 },
      stage2: { ...tiny.stage2, steps: 6 },
      checkpointEvery: 6,
      evaluateEvery: 6,
      sampleEvery: 6,
    },
    name,
  );
  const run = createRun(join(folder, "run"), config);
  expect(await trainRun(run, { progress: silent, interrupt: { requested: false } })).toBe("finished");
  for (const picture of ["stage1-00000012.png", "stage2-00000006.png"]) {
    expect(existsSync(join(run.samples, picture)), picture).toBe(true);
  }

  const generator = ImageGenerator.load(run);
  const dataset = await openDataset(config.data);
  const { conditions } = dataset.validation.batch([0]);
  const [images] = generator.draw([conditions], { samples: 3, seed: 1 });
  expect(images?.map((one) => one.length)).toEqual([3072, 3072, 3072]);
  expect(generator.draw([conditions], { samples: 3, seed: 1 })).toEqual([images]);
  expect(() => generator.draw([conditions.subarray(1)])).toThrow(/a condition of kind ".*" is \d+ bytes/);
  if (name === "words") await expectDrawsOfTheirOwn(run);
  dataset.close();
});

/** Several drawings have one caption: a score is of images that differ all the same. */
async function expectDrawsOfTheirOwn(run: RunFolder): Promise<void> {
  const [conditions, samples] = [120, 2];
  const seen: string[] = [];
  const score: Fidelity["score"] = (images, given) => {
    const bytes = (all: Uint8Array, count: number, i: number) =>
      Buffer.from(all.subarray((i * all.length) / count, ((i + 1) * all.length) / count)).toString("base64");
    const { count, pixels } = images;
    if (count === conditions) return []; // the true ones
    const captions = Array.from({ length: count }, (_, i) => bytes(given, count, i));
    expect(new Set(captions).size).toBeLessThan(count / samples);
    seen.push(...captions.map((caption, i) => caption + bytes(pixels, count, i)));
    return [];
  };
  await scoreRun(run, { conditions, samples, seed: 1, networks: [], fidelity: { networks: {}, score } });
  expect(seen).toHaveLength(conditions * samples);
  expect(new Set(seen).size).toBe(seen.length);
}

test.each([
  ["words", "conditions of kind 'text' lie on 1 × 32 places"],
  ["speech", "conditions of kind 'audio' lie on 4 × 8 places"],
] as const)("%s cannot be paired place by place", (name, reason) => {
  const preset = presets[name];
  const paired = {
    ...preset,
    stage1: { ...preset.stage1, regularizer: { estimator: "paired", weight: 0.2 } as const },
  };
  expect(() => parseConfig(paired, name)).toThrow(
    `stage1.regularizer 'paired' needs image and condition on one grid, but ${reason}; use 'sliced' or 'entropic'`,
  );
});

test("a sequence that cannot be reduced so far is named with its length", () => {
  const { words } = presets;
  const model = {
    ...words.stage1.model,
    condition: { ...words.stage1.model.condition, multipliers: [1, 1, 1, 1, 1, 1], patch: 4 as const },
  };
  expect(() => parseConfig({ ...words, stage1: { ...words.stage1, model } }, "words")).toThrow(
    "conditions of kind 'text' are planes of 1 × 32, which cannot be reduced 128-fold, as stage1.model.condition does; shorten 'multipliers'",
  );
});

test("every preset can be used", () => {
  for (const [name, preset] of Object.entries(presets)) expect(parseConfig(preset, name).name).toBe(preset.name);
});
