import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { scope, type Tensor } from "@iqvae/torch";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { presets, withSettings } from "../../src/config/index.ts";
import { bestCheckpoint, listCheckpoints, readCheckpoint, readCheckpointTensors } from "../../src/run/checkpoint.ts";
import { createRun, openRun } from "../../src/run/run-folder.ts";
import { trainRun } from "../../src/run/train-run.ts";
import { Stage1Trainer } from "../../src/stage1/trainer.ts";
import { Stage2Trainer } from "../../src/stage2/trainer.ts";
import { type ProgressEvent, silent } from "../../src/support/progress.ts";
import type { Stage, Trainer } from "../../src/support/trainer.ts";

const SHORT = ["stage1.steps=16", "stage2.steps=3", "stage1.warmup=0", "stage2.warmup=0"];
const folder = mkdtempSync(join(tmpdir(), "iqvae-"));
const at = (name: string) => join(folder, name);
const configOf = (...settings: string[]) => withSettings(presets.tiny, [...SHORT, ...settings], "test");
const SOURCE = `pretrained.path=${JSON.stringify(at("source"))}`;

const values = (tensor: Tensor) => scope(() => Array.from(tensor.detach().flatten().to("float32").read("float32")));
type Weights = ReadonlyMap<string, readonly number[]>;
const copied = (tensors: ReadonlyMap<string, Tensor>): Weights =>
  new Map([...tensors].map(([name, tensor]) => [name, values(tensor)]));

/** All tensors of the trainers of a run before their first step. */
const began: { stage1?: Weights | undefined; stage2?: Weights | undefined } = {};
function watch(stage: Stage, prototype: Trainer): void {
  const { step } = prototype;
  vi.spyOn(prototype, "step").mockImplementation(function (this: Trainer, rows) {
    began[stage] ??= copied(this.tensors());
    return step.call(this, rows);
  });
}

async function train(name: string, ...settings: string[]) {
  createRun(at(name), configOf(...settings));
  return await goOn(name);
}

/** @returns what was said */
async function goOn(name: string): Promise<ProgressEvent[]> {
  const told: ProgressEvent[] = [];
  const progress = { ...silent, tell: (_: string, event: ProgressEvent) => void told.push(event) };
  await trainRun(openRun(at(name)), { progress, interrupt: { requested: false } });
  return told;
}

/** The weights that a run draws with, by the names of its checkpoints. */
const source: Partial<Record<Stage, Weights>> = {};
beforeAll(async () => {
  process.env.IQVAE_CACHE = at("cache");
  await train("source", "seed=1");
  const { checkpoints } = openRun(at("source"));
  const newest = listCheckpoints(checkpoints, "stage1")[0]!.path;
  source.stage1 = scope(() => copied(readCheckpointTensors(newest, readCheckpoint(newest))));
  const best = bestCheckpoint(checkpoints, "stage2")!;
  source.stage2 = scope(() => copied(readCheckpointTensors(best, readCheckpoint(best))));
  watch("stage1", Stage1Trainer.prototype);
  watch("stage2", Stage2Trainer.prototype);
});
afterAll(() => rmSync(folder, { recursive: true }));
beforeEach(() => {
  began.stage1 = undefined;
  began.stage2 = undefined;
});

const COUNTED = /quantizer\.(counts|sums)$/;
const named = (weights: Weights, pattern: RegExp) =>
  Object.fromEntries([...weights].filter(([name]) => pattern.test(name) && !COUNTED.test(name)));
const sum = (numbers: readonly number[]) => numbers.reduce((total, each) => total + each, 0);

describe("a run that begins with the weights of another", () => {
  test("has all of them, and its codebooks count as its batches do", async () => {
    const { batch } = configOf().stage1;
    const told = await train("same", "seed=7", SOURCE, `stage1.batch=${batch / 2}`);
    expect(told.filter(({ event }) => event === "pretrained")).toEqual(
      ["stage1", "stage2"].map((stage) => ({ event: "pretrained", stage, path: at("source"), sameCondition: true })),
    );
    const model = named(began.stage1!, /^model\./);
    expect(Object.keys(model).length).toBeGreaterThan(40);
    expect(model).toEqual(named(source.stage1!, /^model\./));
    for (const half of ["image", "condition"]) {
      const [was, is] = [source.stage1!, began.stage1!].map((all) => all.get(`model.${half}.quantizer.counts`)!);
      const total = (batch / 2) * 16;
      expect(sum(is!) / total).toBeCloseTo(1, 5);
      expect(is![0]! / total).toBeCloseTo(was![0]! / sum(was!), 6);
      const sums = (all: Weights) => all.get(`model.${half}.quantizer.sums`)![0]!;
      expect(sums(began.stage1!) / sums(source.stage1!)).toBeCloseTo(total / sum(was!), 5);
    }
    const averages = named(source.stage2!, /^ema\./);
    expect(Object.keys(averages).length).toBeGreaterThan(10);
    expect(named(began.stage2!, /^ema\./)).toEqual(averages);
    for (const [name, weight] of Object.entries(named(began.stage2!, /^model\./)))
      expect(weight).toEqual(averages[name.replace("model.", "ema.")]);
  });

  test("learns conditions anew where they are others, and images not", async () => {
    const told = await train("lines", SOURCE, "data.condition=lines", "stage1.steps=17");
    expect(told.find(({ event }) => event === "pretrained")).toMatchObject({ sameCondition: false });
    const images = named(source.stage1!, /^model\.image\./);
    expect(named(began.stage1!, /^model\.image\./)).toEqual(images);
    // Codes of the condition are placed when its encoder has learned something, as in any training.
    expect(began.stage1!.get("model.condition.quantizer.placed")).toEqual([0]);
    expect(began.stage1!.get("model.image.quantizer.placed")).toEqual([1]);
    const { checkpoints } = openRun(at("lines"));
    const newest = listCheckpoints(checkpoints, "stage1")[0]!.path;
    const trained = scope(() => copied(readCheckpointTensors(newest, readCheckpoint(newest))));
    expect(trained.get("model.condition.quantizer.placed")).toEqual([1]);

    const [is, was] = [began.stage2!, source.stage2!];
    for (const name of ["imageEmbedding.weight", "blocks.0.attention.qkv.weight", "norm.bias", "head.weight"])
      expect(is.get(`model.${name}`)).toEqual(was.get(`ema.${name}`));
    expect(is.get("model.conditionEmbedding.weight")![0]).not.toBe(was.get("ema.conditionEmbedding.weight")![0]);
    const { conditionTokens } = openRun(at("source")).loadModels().transformer.tokens;
    const rows = (table: readonly number[]) => table.slice(conditionTokens * configOf().stage2.model.width);
    const [table, other] = [is.get("model.positions")!, was.get("ema.positions")!];
    expect(rows(table)).toEqual(rows(other));
    expect(table[0]).not.toBe(other[0]);
  });

  test("may also learn to draw without conditions", async () => {
    await train("unconditional", SOURCE, "stage2.conditionDropout=0.1");
    const [is, was] = [began.stage2!.get("model.conditionEmbedding.weight")!, source.stage2!];
    const known = was.get("ema.conditionEmbedding.weight")!;
    expect(is.length).toBe(known.length + configOf().stage2.model.width);
    expect(is.slice(0, known.length)).toEqual(known);
  });

  test("goes on from its own checkpoints, and finds the other by its folder", async () => {
    const path = relative(process.cwd(), at("source"));
    createRun(at("beside"), configOf(`pretrained.path=${JSON.stringify(path)}`));
    const stored = JSON.parse(readFileSync(join(at("beside"), "config.json"), "utf8")) as { pretrained: unknown };
    expect(stored.pretrained).toEqual({ path: "../source" });
    expect(openRun(at("beside")).config.pretrained).toEqual({ path: at("source") });
    const told = await goOn("same");
    expect(told.filter(({ event }) => event === "pretrained")).toEqual([]);
    expect(began).toEqual({ stage1: undefined, stage2: undefined });
  });
});

describe("a run cannot begin with", () => {
  const begin = (name: string, ...settings: string[]) => {
    expect(existsSync(at(name))).toBe(false);
    try {
      createRun(at(name), configOf(...settings));
    } finally {
      expect(existsSync(at(name))).toBe(false);
    }
  };

  test("models of other sizes, which are told", () => {
    const image = configOf().stage1.model.image.codes;
    const attempt = () => begin("other", SOURCE, "stage1.model.image.codes=96", "stage2.model.layers=3");
    expect(attempt).toThrow(`stage1.model.image.codes is 96, and ${image} there`);
    expect(attempt).toThrow(/stage2\.model\.layers is 3, and \d there/);
    expect(attempt).toThrow(`--set 'stage1.model.image.codes=${image}'`);
  });

  test("what is not a run, or one without stage 2", async () => {
    expect(() => begin("none", `pretrained.path=${JSON.stringify(at("nowhere"))}`)).toThrow(/no run in .*nowhere/i);
    expect(() => begin("exported", 'pretrained.path="models/start"')).toThrow(
      /models\/start is an exported model, but this needs a run/,
    );
    createRun(at("unbegun"), configOf());
    expect(() => begin("early", `pretrained.path=${JSON.stringify(at("unbegun"))}`)).toThrow(/unbegun.*stage 2/);
    expect(() => begin("text", "pretrained=runs/faces")).toThrow(/pretrained is "runs\/faces", but must be an object/);
  });
});
