import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { liveTensors, readSafetensors, scope, type Tensor, writeSafetensors } from "@iqvae/torch";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Config, presets, withSettings } from "../../src/config/index.ts";
import { basisOf } from "../../src/run/basis.ts";
import { CheckpointError, listCheckpoints, readCheckpoint } from "../../src/run/checkpoint.ts";
import { readMetrics } from "../../src/run/metrics-log.ts";
import { createRun, openRun } from "../../src/run/run-folder.ts";
import { trainRun } from "../../src/run/train-run.ts";
import { readTokenFile } from "../../src/stage2/tokens.ts";
import { type Progress, type ProgressEvent, silent } from "../../src/support/progress.ts";

const SHORT = ["stage1.steps=4", "stage2.steps=2", "stage1.warmup=0", "stage2.warmup=0"];
const config = withSettings(presets.tiny, [...SHORT, "stage1.adversarial={}"], "test");
const folder = mkdtempSync(join(tmpdir(), "iqvae-"));
const at = (name: string) => join(folder, name);
const train = (name: string, progress: Progress = silent) =>
  trainRun(openRun(at(name)), { progress, interrupt: { requested: false } });

/** The tensors of the training that were alive when a task began. */
const alive = new Map<string, number>();
beforeAll(async () => {
  process.env.IQVAE_CACHE = at("cache");
  createRun(at("whole"), config);
  const before = liveTensors();
  await train("whole", { ...silent, begin: (task) => void alive.set(task, liveTensors() - before) });
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A copy of the trained run with another configuration. */
function copy(name: string, ...settings: string[]): void {
  cpSync(at("whole"), at(name), { recursive: true });
  const file = join(at(name), "config.json");
  const before = JSON.parse(readFileSync(file, "utf8")) as Config;
  writeFileSync(file, JSON.stringify(withSettings(before, settings, "test")));
}

/** The newest checkpoint of a copy, as if it followed from other values. */
function editBasis(name: string, stage: "stage1" | "stage2", values: Record<string, string | number>): void {
  const { path } = listCheckpoints(join(at(name), "checkpoints"), stage)[0]!;
  const description = JSON.parse(readFileSync(path, "utf8")) as { basis: object };
  writeFileSync(path, JSON.stringify({ ...description, basis: { ...description.basis, ...values } }));
}

/** How many pairs the tokens are of. */
function tokenCounts(conditions: Int32Array) {
  const conditionTokens = openRun(at("whole")).loadModels().iqvae.tokenShape(config.data.size).conditionTokens;
  return { conditionTokens, count: conditions.length / conditionTokens };
}

const newest = (name: string, stage: "stage1" | "stage2") =>
  readCheckpoint(listCheckpoints(join(at(name), "checkpoints"), stage)[0]!.path);

describe("a value of config.json that weights follow from", () => {
  test.each([
    ["stage1.model.image.codes=256", "stage1", "stage1.model.image.codes is 256 now, and was "],
    ["stage1.model.image.multipliers=[1,3]", "stage1", "stage1.model.image.multipliers is [1,3] now, and was "],
    ["stage1.regularizer.weight=0.9", "stage1", "stage1.regularizer.weight is 0.9 now, and was "],
    ["stage1.adversarial=null", "stage1", "stage1.adversarial.rate is left out now, and was 0.0002"],
    [
      'stage1.perceptual={"network":{"kind":"attributes"}}',
      "stage1",
      "stage1.perceptual is left out now, and was null",
    ],
    ["stage1.batch=3", "stage1", "stage1.batch is 3 now, and was "],
    ["data.count=170", "stage1", "data.count is 170 now, and was "],
    ["seed=9", "stage1", "seed is 9 now, and was "],
    ["precision=bfloat16", "stage1", 'precision is "bfloat16" now, and was "float32"'],
    ["stage2.rate=0.5", "stage2", "stage2.rate is 0.5 now, and was "],
    ["stage2.model.layers=3", "stage2", "stage2.model.layers is 3 now, and was "],
  ])("%s: the run is not trained on", async (setting, stage, said) => {
    copy("changed", setting);
    const error = await train("changed").catch((error: Error) => error);
    rmSync(at("changed"), { recursive: true });
    expect(error).toBeInstanceOf(CheckpointError);
    expect(String(error)).toContain(join("changed", "checkpoints", stage));
    expect(String(error)).toContain(said);
  });

  test.each(["logEvery=3", "evaluateEvery=3", "sampleEvery=1000", "name=other"])(
    "%s is none of them",
    async (setting) => {
      copy("free", setting);
      expect(await train("free")).toBe("finished");
      rmSync(at("free"), { recursive: true });
    },
  );

  test("where files lie is none of them: they may be moved", () => {
    const lying = (folder: string) => {
      const network = { kind: "vgg16-lpips", path: `${folder}/vgg.safetensors` };
      const settings = ["data.name=images", "data.size=32", `data.path=${folder}`];
      return withSettings(presets.tiny, [...settings, `stage1.perceptual=${JSON.stringify({ network })}`], "test");
    };
    expect(basisOf(lying("/here"), "stage1")).toEqual(basisOf(lying("/there"), "stage1"));
  });

  test("draws nothing with models of other sizes, or with a stage 2 of another stage 1", () => {
    copy("sizes", "stage1.model.image.codes=256");
    expect(() => openRun(at("sizes")).loadModels()).toThrow("stage1.model.image.codes is 256 now, and was ");
    copy("guided", "stage2.conditionDropout=0.5");
    expect(() => openRun(at("guided")).loadModels()).toThrow("stage2.conditionDropout is 0.5 now, and was 0");
    copy("mixed");
    editBasis("mixed", "stage2", { "stage 1": "0".repeat(64) });
    expect(() => openRun(at("mixed")).loadModels()).toThrow(/tokens of another stage 1.*stage2-\*/);
  });
});

describe("data that are not those of the steps so far", () => {
  test("are told of for each stage, whatever their number is", async () => {
    copy("exchanged");
    const [before, now] = ["0".repeat(64), newest("whole", "stage1").basis?.data];
    for (const stage of ["stage1", "stage2"] as const) editBasis("exchanged", stage, { data: before });
    const events: ProgressEvent[] = [];
    const keep = (event: ProgressEvent) => void (event.event === "other-data" && events.push(event));
    expect(await train("exchanged", { ...silent, tell: (_, event) => keep(event) })).toBe("finished");
    expect(now).toMatch(/^[0-9a-f]{64}$/);
    expect(events).toEqual(["stage1", "stage2"].map((stage) => ({ event: "other-data", stage, before, now })));
    events.length = 0;
    expect(await train("whole", { ...silent, tell: (_, event) => keep(event) })).toBe("finished");
    expect(events).toEqual([]);
  });

  test("are refused where they are fewer or more, and what brings them back is no configuration", async () => {
    copy("fewer");
    editBasis("fewer", "stage1", { "pairs for training": 7 });
    await expect(train("fewer")).rejects.toThrow(/pairs for training is \d+ now, and was 7\nPut the data's files back/);
  });
});

test.each<[string, (bytes: Buffer) => Buffer]>([
  ["cut off", (bytes) => bytes.subarray(0, bytes.length - 10)],
  ["of codes that there are not", (bytes) => Buffer.concat([bytes.subarray(0, -4), Buffer.of(255, 255, 0, 0)])],
  ["of which one is another", (bytes) => Buffer.concat([bytes.subarray(0, -4), Buffer.of(bytes.at(-4)! ^ 1, 0, 0, 0)])],
  [
    "under other names",
    (bytes) => Buffer.from(bytes.toString("latin1").replace("train.images", "trail.images"), "latin1"),
  ],
])("tokens %s are encoded anew", async (_, damage) => {
  copy("tokens");
  const [path, whole] = ["tokens", "whole"].map((name) => join(at(name), "tokens.safetensors")) as [string, string];
  writeFileSync(path, damage(readFileSync(path)));
  expect(await train("tokens")).toBe("finished");
  expect(readFileSync(path)).toEqual(readFileSync(whole));
  rmSync(at("tokens"), { recursive: true });
});

test("tokens of more pairs, as earlier versions encoded, are encoded anew", async () => {
  copy("tokens");
  const path = join(at("tokens"), "tokens.safetensors");
  const whole = readFileSync(path);
  scope(() => {
    const { tensors, metadata } = readSafetensors(path);
    const more = [...tensors].map(([name, x]): [string, Tensor] => [
      name,
      name.startsWith("validation") ? x.repeat([2]) : x,
    ]);
    writeSafetensors(path, new Map(more), { source: metadata.source! });
  });
  expect(await train("tokens")).toBe("finished");
  expect(readFileSync(path)).toEqual(whole);
  rmSync(at("tokens"), { recursive: true });
});

describe("steps that are added to a run that is finished", () => {
  test("to stage 2: it goes on, and says that the schedule was another", async () => {
    copy("longer", "stage2.steps=3");
    const events: ProgressEvent[] = [];
    expect(await train("longer", { ...silent, tell: (_, event) => void events.push(event) })).toBe("finished");
    expect(newest("longer", "stage2").step).toBe(3);
    const [before, now] = ["whole", "longer"].map((name) => readMetrics(join(at(name), "metrics.jsonl")));
    expect(now!.slice(0, before!.length)).toEqual(before);
    expect(events).toContainEqual({ event: "other-steps", stage: "stage2", before: 2, now: 3 });
  });

  test("to stage 1: refused, since stage 2 would keep its old tokens; with the advice followed, both are made anew", async () => {
    copy("deeper", "stage1.steps=6");
    await expect(train("deeper")).rejects.toThrow(
      /tokens of stage 1 at step 4, .* 6 steps.*stage1\.steps back to 4.*stage2-\*/,
    );
    const before = {
      tokens: readFileSync(join(at("deeper"), "tokens.safetensors")),
      stage1: newest("deeper", "stage1"),
    };
    expect(before.stage1.step).toBe(4);
    const checkpoints = join(at("deeper"), "checkpoints");
    for (const name of readdirSync(checkpoints)) if (name.startsWith("stage2-")) rmSync(join(checkpoints, name));
    expect(await train("deeper")).toBe("finished");
    expect([newest("deeper", "stage1").step, newest("deeper", "stage2").step]).toEqual([6, 2]);
    expect(readFileSync(join(at("deeper"), "tokens.safetensors"))).not.toEqual(before.tokens);
    expect(newest("deeper", "stage2").basis?.["stage 1"]).toBe(newest("deeper", "stage1").tensors.sha256);
  });

  test("a damaged last checkpoint of stage 1 is no change: from the one before it, the same tokens come out", async () => {
    copy("damaged", "checkpointEvery=2");
    // As if there had been a checkpoint before it.
    createRun(at("again"), withSettings(config, ["checkpointEvery=2"], "test"));
    await train("again");
    const [last, early] = listCheckpoints(join(at("again"), "checkpoints"), "stage1");
    // Stage 2 knows the tokens of the last one alone, also where another had a lower loss.
    const description = JSON.parse(readFileSync(early!.path, "utf8")) as object;
    writeFileSync(early!.path, JSON.stringify({ ...description, evaluation: { step: 2, figures: { loss: -1 } } }));
    expect(() => openRun(at("again")).loadModels()).not.toThrow();
    rmSync(last!.path);
    expect(await train("again")).toBe("finished");
    expect(newest("again", "stage1").tensors.sha256).toBe(newest("whole", "stage1").tensors.sha256);
  });
});

test("painted maps change tokens of training maps for stage 2, and nothing else: stage 1 and held-out pairs stay", async () => {
  createRun(at("painted"), withSettings(config, ["stage2.handDrawn=0.5"], "test"));
  await train("painted");
  expect(newest("painted", "stage1").tensors.sha256).toBe(newest("whole", "stage1").tensors.sha256);
  const [plain, painted] = [readTokenFile(openRun(at("whole")).tokens), readTokenFile(openRun(at("painted")).tokens)];
  for (const same of ["train.images", "validation.images", "validation.conditions"] as const)
    expect(painted[same]).toEqual(plain[same]);
  const { count, conditionTokens } = tokenCounts(plain["train.conditions"]);
  const changed = [...Array(count).keys()].filter((pair) => {
    const row = (tokens: Int32Array) => tokens.subarray(pair * conditionTokens, (pair + 1) * conditionTokens).join();
    return row(plain["train.conditions"]) !== row(painted["train.conditions"]);
  });
  expect(changed.length).toBeGreaterThan(0.35 * count);
  expect(changed.length).toBeLessThan(0.65 * count);
  expect(newest("painted", "stage2").basis).toMatchObject({ "stage2.handDrawn": 0.5 });
  // Painted maps are not asked for any more: the tokens are those of before.
  copy("plain", "stage2.handDrawn=0");
  cpSync(openRun(at("painted")).tokens, openRun(at("plain")).tokens);
  rmSync(listCheckpoints(join(at("plain"), "checkpoints"), "stage2")[0]!.path);
  expect(await train("plain")).toBe("finished");
  expect(readTokenFile(openRun(at("plain")).tokens)).toEqual(plain);
});

test("two trainings at once in one process would draw from one random generator: the second is refused", async () => {
  for (const name of ["first", "second"]) createRun(at(name), config);
  const [first, second] = await Promise.allSettled([train("first"), train("second")]);
  expect(first.status).toBe("fulfilled");
  expect(String((second as PromiseRejectedResult).reason)).toContain(`${at("second")} cannot be trained while`);
  expect(newest("first", "stage2").tensors.sha256).toBe(newest("whole", "stage2").tensors.sha256);
  // It left no lock, and can be trained afterward.
  expect(await train("second")).toBe("finished");
});

test("of stage 1 only the model lives on through stage 2: no moments, no gradients, no discriminator", () => {
  const { iqvae } = openRun(at("whole")).loadModels();
  const model = iqvae.stateDict().size;
  expect(alive.get("encoding the data")).toBeLessThan(model + 10);
});
