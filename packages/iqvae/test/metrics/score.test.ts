import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { liveTensors, manualSeed } from "@iqvae/torch";
import { expect, test } from "vitest";
import { parseConfig, presets } from "../../src/config/index.ts";
import { exportRun } from "../../src/export/bundle.ts";
import { AttributesNetwork, attributesFeatures } from "../../src/features/attributes.ts";
import { comparable, type RunScore, readScore, SCORE_FORMAT, writeScore } from "../../src/metrics/run-score.ts";
import { type ScoreOptions, scoreExported, scoreRun, scoreSteps } from "../../src/metrics/score.ts";
import { scoreTable } from "../../src/metrics/table.ts";
import { type ExportedModel, isExported, openExported } from "../../src/run/exported.ts";
import { createRun } from "../../src/run/run-folder.ts";
import { trainRun } from "../../src/run/train-run.ts";
import { ImageGenerator } from "../../src/sampling/generator.ts";
import { silent } from "../../src/support/progress.ts";
import { temporaryFolder } from "../run/support.ts";

const { stage2 } = presets.tiny;
const config = parseConfig({ ...presets.tiny, stage2: { ...stage2, conditionDropout: 0.1 } }, "test");

/** An untrained network and a measure that counts nothing: what is tested is what becomes of them. */
function instruments(): Pick<ScoreOptions, "networks" | "fidelity"> {
  manualSeed(3);
  const network = attributesFeatures(
    new AttributesNetwork([{ name: "hair", classes: 4 }], 13),
    "attributes-test",
    "abc",
  );
  const score: NonNullable<ScoreOptions["fidelity"]>["score"] = (images, conditions) => {
    expect(conditions.length).toBe(images.count * images.size ** 2);
    return [{ key: "fidelity", label: "count", value: images.count / 100, better: "higher" }];
  };
  return { networks: [network], fidelity: { networks: { counter: "def" }, score } };
}

test("a run is scored from end to end, the same again, and without leaving tensors behind", async () => {
  const run = createRun(join(temporaryFolder(), "run"), config);
  await trainRun(run, { progress: silent, interrupt: { requested: false } });
  const options = { conditions: 5, samples: 3, seed: 4, ...instruments() };
  const score = await scoreRun(run, options);
  expect(score.settings).toEqual({
    data: "faces",
    dataKey: expect.stringContaining('"count":160'),
    size: 32,
    conditions: 5,
    part: "report",
    samples: 3,
    seed: 4,
    temperature: 1,
    topK: null,
    topP: 1,
    guidance: 1,
  });
  expect(score.networks).toEqual({ "attributes-test": "abc", counter: "def" });
  expect(score.figures.map(({ key }) => key)).toEqual([
    ...["attributes-test", "colors", "gradients"].flatMap((judge) =>
      ["reconstruction", "gap", "total", "stage1Share"].map((part) => `triple.${part}.${judge}`),
    ),
    "frechet.attributes-test",
    "precision.attributes-test",
    "recall.attributes-test",
    "diversity.attributes-test",
    "swd.32",
    "swd.16",
    "swd",
    "fidelity",
    "colors.totalVariation",
    "colors.pooledTotalVariation",
    "colors.coverage",
    "psnr",
    "ssim",
    "condition.accuracy",
    "condition.mapIou",
    "bitsPerToken",
    "bitsAnImage",
    "codebook.image.active",
    "codebook.image.perplexity",
    "codebook.condition.active",
    "codebook.condition.perplexity",
  ]);
  for (const { key, value } of score.figures) expect(Number.isFinite(value), key).toBe(true);
  const of = (key: string) => score.figures.find((figure) => figure.key === key)!;
  // A model that has learned nearly nothing is worse than true images of the same conditions.
  const triples = score.figures.filter(({ key, real }) => key.startsWith("triple.") && real !== null);
  const distances = [...triples.map(({ key }) => key), "frechet.attributes-test", "swd"];
  expect(distances).toHaveLength(11);
  // Of faces true images can be drawn anew, as many as samples: the total is the distance itself.
  for (const part of ["value", "real"] as const)
    expect(of("triple.total.attributes-test")[part]).toBe(of("frechet.attributes-test")[part]);
  for (const key of [...distances, "colors.totalVariation"]) expect(of(key).value, key).toBeGreaterThan(of(key).real!);
  expect(of("fidelity")).toMatchObject({ value: 15 / 100, real: 5 / 100 });
  expect(of("bitsPerToken").value).toBeGreaterThan(0);
  expect(of("bitsPerToken").value).toBeLessThan(2 * Math.log2(config.stage1.model.image.codes));

  // A scoring loads the two models, which the collector takes in the end; nothing else stays.
  const before = liveTensors();
  const { iqvae } = ImageGenerator.load(run).models;
  const models = liveTensors() - before;
  expect(models).toBeGreaterThanOrEqual(iqvae.stateDict().size);
  const again = await scoreRun(run, options);
  expect({ ...again, seconds: {} }).toEqual({ ...score, seconds: {} });
  expect(liveTensors() - before).toBeLessThanOrEqual(2 * models);

  const guided = await scoreRun(run, { ...options, sampling: { guidance: 4 } });
  expect(guided.settings).toEqual({ ...score.settings, guidance: 4 });
  expect(comparable(guided, score)).toBe(false);
  expect(guided.figures.find(({ key }) => key === "swd")).not.toEqual(of("swd"));
  expect(guided.figures.find(({ key }) => key === "psnr")).toEqual(of("psnr"));

  const folder = join(temporaryFolder(), "exported");
  await exportRun(run, folder, "f32");
  expect([folder, run.path].map(isExported)).toEqual([true, false]);
  const model = openExported(folder, "");
  // Settings of the model's own do not count.
  const file = join(folder, "model.json");
  const own = { sampling: { temperature: 3, topK: 1, topP: 0.5, guidance: 2 } };
  writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), ...own }));
  const exported = await scoreExported(model, options);
  expect(comparable(exported, score)).toBe(true);
  expect(exported.run).toBe(folder);
  const kept = score.figures.filter(({ key }) => /^(frechet|precision|recall|diversity|swd|fidelity|colors)/.test(key));
  expect(exported.figures.map(({ key }) => key)).toEqual(kept.map(({ key }) => key));
  for (const [i, { key, value, real }] of exported.figures.entries()) {
    // Pixels may be off by one.
    expect(Math.abs(value - kept[i]!.value), key).toBeLessThanOrEqual(0.005 * Math.abs(kept[i]!.value));
    expect(real, key).toBeCloseTo(kept[i]!.real!, 3);
  }
  await expect(scoreExported(model, { ...options, samples: 1 })).rejects.toThrow(/at least 2 samples/);
  const { network } = { network: { kind: "attributes", set: "faces" } } as const;
  const pleased = { ...model, config: { ...model.config, stage1: { perceptual: { network } } } };
  const biased = { ...options.networks![0]!, name: "attributes-faces-32" };
  await expect(scoreExported(pleased, { ...options, networks: [biased] })).rejects.toThrow(/must not judge it/);
});

test.each<[Partial<ScoreOptions>, string]>([
  [{ samples: 1 }, "at least 2 samples"],
  [{ conditions: 0 }, "at least 1 condition"],
  [{ part: "nope" as "report" }, "one of the parts tune, report, not nope"],
  [{ seed: 1.5 }, "seed must be a whole number, but is 1.5"],
  [{ sampling: { temperature: 0 } }, "temperature must be a finite number above 0"],
  [{ sampling: { guidance: 2 } }, "guidance 2 needs a model that was also trained without conditions"],
])("options that mean nothing are refused before anything is loaded, trained or drawn: %j", async (wrong, why) => {
  const options = { conditions: 5, samples: 3, seed: 4, ...wrong };
  // The run has no weights, and this folder does not hold the model: whoever comes to load them says something else.
  const run = createRun(join(temporaryFolder(), "run"), parseConfig(presets.tiny, "test"));
  const { path } = run;
  const model: ExportedModel = { path, weights: "", unconditional: false, config: run.config };
  await expect(scoreRun(run, options)).rejects.toThrow(why);
  await expect(scoreSteps(run, [1], options)).rejects.toThrow(why);
  await expect(scoreExported(model, options)).rejects.toThrow(why);
});

const score: RunScore = {
  format: SCORE_FORMAT,
  run: "runs/a",
  weights: "cc",
  settings: {
    data: "faces",
    dataKey: "faces of some seed",
    size: 32,
    conditions: 5,
    part: "report",
    samples: 3,
    seed: 4,
    temperature: 1,
    topK: null,
    topP: 1,
    guidance: 1,
  },
  networks: { "attributes-faces-32": "aa", "vgg16-lpips": "bb" },
  figures: [
    { key: "frechet.x", label: "Fréchet distance (x)", value: 12.5, real: 1.25, better: "lower" },
    { key: "psnr", label: "reconstruction, PSNR in dB", value: 20, real: null, better: "higher" },
  ],
  calibration: null,
  seconds: { SWD: 1 },
};

test("a score is read back as it was written; what is damaged or of another version is said to be, and is none", () => {
  const folder = temporaryFolder();
  const said: string[] = [];
  const read = (weights = score.weights) => readScore(folder, weights, (message) => said.push(message));
  expect(read()).toBeUndefined();
  const path = writeScore(folder, score);
  expect(read()).toEqual(score);
  expect(said).toEqual([]);
  expect(read("others")).toBeUndefined();
  expect(said.at(-1)).toContain("weights that the run no longer has");
  for (const [text, why] of [
    [readFileSync(path, "utf8").slice(0, 200), "not valid JSON"],
    [JSON.stringify({ ...score, format: 1 }), "format"],
    [JSON.stringify({ ...score, figures: [{ ...score.figures[0], value: null }] }), "figures.0.value"],
  ] as const) {
    writeFileSync(path, text);
    expect(read()).toBeUndefined();
    expect(said.at(-1)).toContain(path);
    expect(said.at(-1)).toContain(why);
  }
});

test.each([Number.POSITIVE_INFINITY, Number.NaN])("%s is not written as a figure: JSON has no such number", (value) => {
  const folder = temporaryFolder();
  const [first] = score.figures as [RunScore["figures"][number]];
  expect(() => writeScore(folder, { ...score, figures: [{ ...first, value }] })).toThrow(`'${first.key}' is ${value}`);
  expect(() => writeScore(folder, { ...score, figures: [{ ...first, real: value }] })).toThrow(`'${first.key}'`);
  expect(existsSync(join(folder, "metrics.json"))).toBe(false);
});

test("a score is written whole or not at all", () => {
  const folder = join(temporaryFolder(), "run");
  expect(() => writeScore(folder, score)).toThrow(/Could not write .*metrics.json: there is no folder/);
  mkdirSync(folder);
  mkdirSync(join(folder, "metrics.json"));
  expect(() => writeScore(folder, score)).toThrow();
  expect(existsSync(join(folder, `metrics.json.${process.pid}.part`))).toBe(false);
});

test("only scores of equal settings and networks are comparable", () => {
  const networks = { "vgg16-lpips": "bb", "attributes-faces-32": "aa" };
  expect(comparable(score, { ...score, run: "runs/b", figures: [], networks })).toBe(true);
  expect(comparable(score, { ...score, networks: { ...networks, "vgg16-lpips": "cc" } })).toBe(false);
  expect(comparable(score, { ...score, settings: { ...score.settings, samples: 4 } })).toBe(false);
  expect(comparable(score, { ...score, settings: { ...score.settings, part: "tune" } })).toBe(false);
  expect(comparable(score, { ...score, settings: { ...score.settings, dataKey: "fewer faces" } })).toBe(false);
  expect(comparable(score, { ...score, weights: "of another run" })).toBe(true);
});

test("the table shows runs side by side and what real images score", () => {
  const [first, second] = score.figures as [RunScore["figures"][number], RunScore["figures"][number]];
  const other = { ...score, run: "runs/b", figures: [{ ...first, value: 10 }, second] };
  expect(scoreTable(score, other).split("\n")).toEqual([
    "5 conditions × 3 images, 32 px, seed 4, part report",
    "                              runs/a  runs/b   change  real images",
    "Fréchet distance (x) ↓         12.50   10.00  +25.0 %        1.250",
    "reconstruction, PSNR in dB ↑   20.00   20.00   +0.0 %            –",
  ]);
  expect(scoreTable(score).split("\n")[1]).toBe("                              runs/a  real images");

  const triple = [
    { key: "triple.reconstruction.x", label: "", value: 3, real: 1, better: "lower" },
    { key: "triple.gap.x", label: "", value: 2, real: null, better: "lower" },
    { key: "triple.total.x", label: "", value: 5, real: 1, better: "lower" },
    { key: "triple.stage1Share.x", label: "", value: 0.5, real: null, better: null },
  ] as const;
  expect(scoreTable({ ...score, figures: [...triple, second] }, other).split("\n")).toEqual([
    "5 conditions × 3 images, 32 px, seed 4, part report",
    "Fréchet distance [floor] ↓  reconstruction        gap          total  stage 1's share",
    "x, runs/a                    3.000 [1.000]  2.000 [–]  5.000 [1.000]             50 %",
    "                              runs/a  runs/b  change  real images",
    "reconstruction, PSNR in dB ↑   20.00   20.00  +0.0 %            –",
  ]);
});
