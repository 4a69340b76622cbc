import { createHash } from "node:crypto";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type FileEntry, ImageGenerator, parseBundle, readWeights, weightShapes } from "@iqvae/runtime";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Config, loadConfig, parseConfig, presets } from "../../src/config/index.ts";
import { openDataset, type PairSplit, spreadRows } from "../../src/data/index.ts";
import { conceptsOf, exportRun, recordScore } from "../../src/export/bundle.ts";
import { card } from "../../src/export/card.ts";
import { trainingCommand } from "../../src/export/command.ts";
import { describeModel } from "../../src/export/describe.ts";
import type { RunScore } from "../../src/metrics/index.ts";
import { SCORE_FORMAT, writeScore } from "../../src/metrics/run-score.ts";
import { checkpointPath, describeCheckpoint, listCheckpoints } from "../../src/run/checkpoint.ts";
import { readMetrics } from "../../src/run/metrics-log.ts";
import { createRun, openRun, type RunFolder } from "../../src/run/run-folder.ts";
import { trainRun } from "../../src/run/train-run.ts";
import { weightsDigest } from "../../src/run/weights.ts";
import { silent } from "../../src/support/progress.ts";

const home = mkdtempSync(join(tmpdir(), "iqvae-export-"));
const at = (name: string) => join(home, name);
const STEPS = { stage1: 6, stage2: 6 };
let run: RunFolder;

beforeAll(async () => {
  process.env.IQVAE_CACHE = at("cache");
  const { tiny } = presets;
  const config = parseConfig(
    {
      ...tiny,
      data: { ...tiny.data, count: 60 },
      stage1: { ...tiny.stage1, steps: STEPS.stage1 },
      stage2: { ...tiny.stage2, steps: STEPS.stage2, conditionDropout: 0.1 },
      checkpointEvery: 3,
      evaluateEvery: 3,
      sampleEvery: 6,
      logEvery: 1,
      sampling: { temperature: 0.8, topP: 0.9, guidance: 2 },
    },
    "tiny",
  );
  run = createRun(at("run"), config);
  await trainRun(run, { progress: silent, interrupt: { requested: false } });
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

/** Files and folders that a failure left beside what was wanted. */
const leftovers = () => readdirSync(home).filter((name) => name.endsWith(".part"));

test("a folder with all files, which model.json knows by their hashes", async () => {
  writeFileSync(join(run.samples, "stage2-00000003.png"), "an older one");
  const { rounding } = await exportRun(run, at("whole"), "f16");
  const files = readdirSync(at("whole"));
  const read = (name: string) => readFileSync(join(at("whole"), name));
  const model = parseBundle(read("model.json").toString());
  expect(Object.keys(model.files).sort()).toEqual(files.filter((name) => name !== "model.json").sort());
  expect(files.sort()).toEqual(
    [
      "README.md",
      "condition.onnx",
      "image.onnx",
      "model.json",
      "model.safetensors",
      "samples.png",
      "step.onnx",
      "transformer.onnx",
    ].sort(),
  );
  for (const [name, { bytes, sha256 }] of Object.entries(model.files)) {
    expect([name, read(name).length]).toEqual([name, bytes]);
    expect(createHash("sha256").update(read(name)).digest("hex")).toBe(sha256);
  }
  expect(model).toMatchObject({
    // As the folder is: runs beside one another have the name of one configuration.
    name: "run",
    size: 32,
    noise: 1,
    weights: "f16",
    transformer: { unconditional: true },
    sampling: run.config.sampling,
  });
  expect(read("samples.png").equals(readFileSync(join(run.samples, "stage2-00000006.png")))).toBe(true);
  expect(readWeights(read("model.safetensors"), model).size).toBeGreaterThan(50);
  const dataset = await openDataset(run.config.data);
  const rows = spreadRows(dataset.validation, 8);
  const held = dataset.validation.batch(rows).conditions;
  expect(model.examples!.map((each) => Buffer.from(each, "base64"))).toEqual(
    rows.map((_, i) => Buffer.from(held.subarray(i * 32 ** 2, (i + 1) * 32 ** 2))),
  );
  dataset.close();
  const apart = Math.abs(rounding!.asStored - rounding!.asTrained);
  expect(apart).toBeGreaterThan(0);
  expect(apart).toBeLessThan(1e-3);
  expect(leftovers()).toEqual([]);
});

test("weights as they were trained are those of the checkpoints, with what was measured of them, and cost nothing", async () => {
  const figures = [{ key: "swd", label: "SWD", value: 0.125, real: 0.25, better: "lower" as const }];
  const sampling = { temperature: 1, topK: null, topP: 1, guidance: 1 };
  const settings = { conditions: 5, samples: 8, seed: 0, part: "report" as const, ...sampling };
  const ofData = { data: "faces", dataKey: "faces", size: 32 };
  const made = {
    format: SCORE_FORMAT,
    run: run.path,
    weights: weightsDigest(run)!,
    networks: {},
    seconds: {},
  } as const;
  writeScore(run.path, { ...made, settings: { ...settings, ...ofData }, figures, calibration: null });
  const { rounding } = await exportRun(run, at("exact"), "f32");
  rmSync(join(run.path, "metrics.json"));
  expect(readFileSync(join(at("exact"), "README.md"), "utf8")).toContain("| SWD ↓ | 0.1250 | 0.2500 |");
  expect(rounding!.asStored).toBe(rounding!.asTrained);
  const logged = readFileSync(run.log.path, "utf8")
    .split("\n")
    .filter((line) => line.includes('"stage2"') && line.includes('"validation"'));
  const best = Math.min(...logged.map((line) => (JSON.parse(line) as { nll: number }).nll));
  expect(rounding!.asTrained).toBeCloseTo(best, 4);
});

test("the card says what the files of the run say, and of the checkpoint that is exported", async () => {
  const older = checkpointPath(run.checkpoints, "stage2", 3);
  const before = readFileSync(older, "utf8");
  const description = JSON.parse(before) as { evaluation: { figures: { loss: number } } };
  description.evaluation.figures.loss = 0;
  writeFileSync(older, JSON.stringify(description));
  await exportRun(run, at("card"), "int8");
  writeFileSync(older, before);
  const text = readFileSync(join(at("card"), "README.md"), "utf8");
  expect(text).toMatch(/^---\nlibrary_name: iqvae\npipeline_tag: image-to-image\n/);
  for (const part of [
    "facesjs",
    "Apache-2.0",
    "seed 1",
    "libtorch",
    "nats a token",
    "not measured",
    "samples.png",
    "8 bits",
  ])
    expect(text, part).toContain(part);
  expect(text).toMatch(/\| weights of step \|.*\n.*\n\| stage 1, codes \| 6 \| .* s \|/);
  expect(text).toContain("stage 2, transformer | 3 |");
  expect(text).not.toMatch(/undefined|NaN|\[object/);
  expect(text).toContain(trainingCommand(run.config) ?? "config.json");
  const shapes = [...weightShapes(describeModel(run.config, "int8")).values()];
  const parameters = shapes.reduce((sum, shape) => sum + shape.reduce((product, side) => product * side, 1), 0);
  expect(text).toContain(`. ${parameters.toLocaleString("en-US")} parameters`); // scales are none

  const record = readMetrics(run.log.path).findLast((r) => r.stage === "stage1" && r.split === "validation");
  const psnr = 10 * Math.log10(2 ** 2 / Number(record!.imageMse));
  expect(text).toContain(`| reconstruction of images, PSNR | ${psnr.toFixed(2)} dB |`);

  const [, program] = /```js\nimport .*\n([\s\S]*?)```/.exec(text)!;
  const draw = `return (async () => { ${program!.replace('"./"', JSON.stringify(at("card")))} return images; })()`;
  const images = (await new Function("ImageGenerator", draw)(ImageGenerator)) as Uint8Array[];
  expect(images.map(({ length }) => length)).toEqual(Array(6).fill(32 * 32 * 3));
});

test("the card of one's own data has its classes as code, and a command that finds the data elsewhere", () => {
  const classes = ["<b>nest</b>", "a ``tick``"];
  const data = { name: "folder", path: "/home/me/secret", condition: "semantic", size: 32, classes };
  const pretrained = { path: "/home/me/secret/runs/faces" };
  const config = parseConfig({ ...run.config, data, pretrained }, "own");
  const newest = (stage: "stage1" | "stage2") => describeCheckpoint(listCheckpoints(run.checkpoints, stage)[0]!.path);
  const text = card({
    config,
    description: { ...describeModel(config, "f32"), name: "*own*" },
    checkpoints: { stage1: newest("stage1"), stage2: newest("stage2") },
    seconds: { stage1: 600, stage2: 7200 },
    rounding: { asTrained: 1.25, asStored: 1.5, images: 9 },
    records: [{ stage: "stage1", split: "validation", imageMse: 0.04 } as never], // of pixels in [−1, 1]
    ...{ score: undefined, concepts: [], parameters: 2_500_000, files: {} },
  });
  expect(text).toContain("| reconstruction of images, PSNR | 20.00 dB |");
  expect(text).toMatch(/stage 1, codes \| 6 \| 10 minutes \|.*\n\| stage 2, transformer \| 6 \| 2\.0 hours \|/);
  expect(text).toContain("| nats a token of 9 images, weights as trained | 1.2500 |");
  expect(text).toContain("| nats a token of 9 images, weights as stored here | 1.5000 |");
  expect(text).toContain("2.50 million parameters");
  expect(text).toContain("began with the weights of the run `faces`.");
  expect(text).toContain("\n# \\*own\\*\n");
  expect(text).toContain(`classes \`\`\`${JSON.stringify(classes)}\`\`\``);
  expect(text).not.toContain("secret");

  const [, file, words] = /`npx iqvae train (config\.json)([^`]*)`/.exec(text)!;
  writeFileSync(at(file!), /```json\n([\s\S]*?)\n```/.exec(text)![1]!);
  const settings = words!.split(" --set ").slice(1);
  expect(
    loadConfig(
      at(file!),
      settings.map((setting) => setting.replace("PATH", setting.startsWith("data.") ? data.path : pretrained.path)),
    ),
  ).toEqual(config);
});

test("the card names what can be asked for where that cannot be seen: by words and sounds, of things that can be counted", () => {
  const words = parseConfig({ ...presets.words, name: "mine" }, "mine");
  const named = (config: Config, concepts: readonly string[]) => {
    const about = { config, description: { ...describeModel(config, "f32"), name: "mine" }, concepts };
    const newest = (stage: "stage1" | "stage2") => describeCheckpoint(listCheckpoints(run.checkpoints, stage)[0]!.path);
    const checkpoints = { stage1: newest("stage1"), stage2: newest("stage2") };
    const rest = { seconds: { stage1: 1, stage2: 1 }, rounding: undefined, records: [], score: undefined };
    return /(\d+) things are in it: (.*)\.\n/
      .exec(card({ ...about, checkpoints, ...rest, parameters: 1, files: {} }))
      ?.slice(1);
  };
  expect(named(words, ["ant", "bat"])).toEqual(["2", "ant, bat"]);
  expect(named(words, [])).toBeUndefined();
  expect(named(words, Array(200).fill("ant"))?.[0]).toBe("200");
  expect(named(words, Array(201).fill("ant"))).toBeUndefined();
  expect(named(run.config, ["ant", "bat"])).toBeUndefined();

  const train = { ids: ["bat/1", "ant/1", "bat/2"] } as unknown as PairSplit;
  expect(conceptsOf({ facts: { concept: (id) => id.split("/")[0]! }, train })).toEqual(["ant", "bat"]);
  expect(conceptsOf({ facts: {}, train })).toEqual([]);
});

test("model.json tells no folder of whoever exported, and of the network of the perceptual loss the name of its file", () => {
  const data = { name: "folder", path: "/home/me/secret", condition: "semantic", size: 32, classes: ["a", "b"] };
  const network = { kind: "vgg16-lpips", path: "/home/me/secret/vgg.safetensors" };
  const stage1 = { ...run.config.stage1, perceptual: { weight: 1, network } };
  const description = describeModel(parseConfig({ ...run.config, data, stage1 }, "own"), "f32");
  expect(JSON.stringify(description)).not.toContain("secret");
  expect(description.perceptual).toEqual({ kind: "vgg16-lpips", path: "vgg.safetensors" });
  expect(describeModel(run.config, "f32").data).toEqual(run.config.data);
});

test("what is measured later stands in the card in place of what stood there, and model.json knows the card", async () => {
  await exportRun(run, at("measured"), "f16");
  const read = (name: string) => readFileSync(join(at("measured"), name), "utf8");
  const before = read("README.md");
  const score = (temperature: number, value: number) =>
    ({
      settings: { conditions: 5, samples: 8, seed: 0, part: "report", temperature, topK: null, topP: 1, guidance: 1 },
      figures: [{ key: "swd", label: "SWD", value, real: 0.25, better: "lower" }],
    }) as unknown as RunScore;
  recordScore(at("measured"), score(0.75, 0.125));
  recordScore(at("measured"), score(0.5, 0.375));
  const after = read("README.md");
  expect(after).toContain("5 held-out conditions × 8 images");
  expect(after).toContain("temperature 0.5, top-k off, top-p 1, guidance 1; of the weights as stored here.");
  expect(after).toContain("| SWD ↓ | 0.3750 | 0.2500 |");
  expect(after).not.toMatch(/not measured|0\.1250/);
  const [head, ...rest] = ["Drawn images", "\n\n## Limits"].map((part) => before.indexOf(part));
  expect(after.startsWith(before.slice(0, head))).toBe(true);
  expect(after.endsWith(before.slice(rest[0]))).toBe(true);
  const { files } = JSON.parse(read("model.json")) as { files: Record<string, FileEntry> };
  expect(files["README.md"]).toEqual({
    bytes: Buffer.byteLength(after),
    sha256: createHash("sha256").update(after).digest("hex"),
  });
  const weights = readFileSync(join(at("measured"), "model.safetensors"));
  expect(files["model.safetensors"]!.sha256).toBe(createHash("sha256").update(weights).digest("hex"));

  rmSync(join(at("measured"), "README.md"));
  recordScore(at("measured"), score(1, 1));
  expect(existsSync(join(at("measured"), "README.md"))).toBe(false);
});

test("a folder that is there is not touched; what one that was killed left beside it is cleared away", async () => {
  mkdirSync(at("there"));
  mkdirSync(at("there.00000000.part"));
  utimesSync(at("there.00000000.part"), new Date(0), new Date(0));
  writeFileSync(join(at("there"), "mine"), "");
  await expect(exportRun(run, at("there"), "f32")).rejects.toThrow(/there is there already.*--out/);
  expect(readdirSync(at("there"))).toEqual(["mine"]);
  expect(leftovers()).toEqual([]);
});

test("a place that cannot be written is named, and nothing is left", async () => {
  writeFileSync(at("file"), "");
  await expect(exportRun(run, join(at("file"), "out"), "f32")).rejects.toThrow(/Could not write .*file/);
  await expect(exportRun(run, at("x".repeat(300)), "f32")).rejects.toThrow(/Could not write .*too long/);
  expect(leftovers()).toEqual([]);
});

test("what cannot be read of a run is not taken for what cannot be written", async () => {
  cpSync(run.path, at("unreadable"), { recursive: true });
  const other = openRun(at("unreadable"));
  const picture = join(other.samples, "stage2-00000006.png");
  rmSync(picture);
  symlinkSync("/not/there", picture);
  await exportRun(other, at("without"), "f32");
  rmSync(other.log.path);
  mkdirSync(other.log.path);
  await expect(exportRun(other, at("not"), "f32")).rejects.toThrow(
    `The log ${other.log.path} cannot be read: it is a folder.`,
  );
  expect([existsSync(at("not")), leftovers()]).toEqual([false, []]);
});

test("a run that is not at its end says how far it is", async () => {
  const copy = at("unfinished");
  mkdirSync(copy);
  const config = JSON.parse(readFileSync(join(run.path, "config.json"), "utf8"));
  writeFileSync(join(copy, "config.json"), JSON.stringify(config));
  await expect(exportRun(openRun(copy), at("out"), "f32")).rejects.toThrow(/0 of 6 steps of stage1.*resume/);

  config.stage2.steps = 9;
  writeFileSync(join(run.path, "config.json"), JSON.stringify(config));
  await expect(exportRun(openRun(run.path), at("out"), "f32")).rejects.toThrow(
    /6 of 9 steps of stage2.*resume.*stage2.steps to 6/,
  );
  config.stage2.steps = STEPS.stage2;
  writeFileSync(join(run.path, "config.json"), JSON.stringify(config));
  expect(existsSync(at("out"))).toBe(false);
});

test.each([
  ["stage1.model.image.channels=4096", "stage1.model.image.channels=4104"],
  ["stage1.model.image.multipliers=[64,1]", "stage1.model.image.multipliers=[65,1]"],
  ["stage1.model.condition.blocks=64", "stage1.model.condition.blocks=65"],
  ["stage1.model.condition.codes=1048576", "stage1.model.condition.codes=1048577"],
  ["stage1.model.image.codeDim=4096", "stage1.model.image.codeDim=4097"],
  ["stage2.model.layers=512", "stage2.model.layers=513"],
  ["stage2.model.width=65536", "stage2.model.width=65540"],
  ["stage2.model.heads=1024", "stage2.model.heads=1025"],
])("a model of %s can be read where it is exported; %s is refused before it is trained", (largest, larger) => {
  const wide = largest.includes("heads") ? ["stage2.model.width=1024"] : [];
  const described = describeModel(loadConfig("tiny", [largest, ...wide]), "f32");
  const files = { "model.safetensors": { bytes: 0, sha256: "0".repeat(64) } };
  expect(parseBundle(JSON.stringify({ ...described, files })).transformer).toEqual(described.transformer);
  expect(() => loadConfig("tiny", [larger, ...wide])).toThrow(/ must be at most \d/);
});

test("the command that trains a configuration", () => {
  // The same on all machines, of which each takes the precision that is fast there.
  for (const precision of ["bfloat16", "float32", "auto"] as const)
    expect(trainingCommand(parseConfig({ ...presets.start, precision }, "start"))).toBe("npx iqvae train start");
  const precise = parseConfig({ ...presets.tiny, precision: "bfloat16" }, "tiny");
  expect(trainingCommand(precise)).toBe(`npx iqvae train tiny --set 'precision="bfloat16"'`);
  const other = parseConfig({ ...presets.faces, name: "mine", seed: 5 }, "mine");
  expect(trainingCommand(other)).toBe("npx iqvae train faces --set seed=5 --name mine");
  const paper = presets["paper-ade20k"];
  const own = parseConfig({ ...paper, data: { ...paper.data, path: "/home/me/secret" } }, "own");
  expect(trainingCommand(own)).toBe("npx iqvae train paper-ade20k --set data.path=PATH");
  const six = {
    ...{ ...presets.start, seed: 9, logEvery: 1, evaluateEvery: 2, checkpointEvery: 3, sampleEvery: 4 },
    stage1: { ...presets.start.stage1, steps: 200 },
  };
  expect(trainingCommand(parseConfig(six, "far"))?.match(/--set/g)).toHaveLength(6);
  const seven = { ...six, stage1: { ...six.stage1, batch: 6 } };
  expect(trainingCommand(parseConfig(seven, "farther"))).toBeUndefined();
});
