import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AdamW, manualSeed, readSafetensors, scope, type Tensor } from "@iqvae/torch";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { conditionFor } from "../../src/conditions/index.ts";
import { presets, withSettings } from "../../src/config/index.ts";
import { batchTensors, conditionSpec, heldOutPart, Loader, openDataset } from "../../src/data/index.ts";
import { IqVae } from "../../src/models/iqvae.ts";
import { Transformer } from "../../src/models/transformer.ts";
import { listCheckpoints, readCheckpoint } from "../../src/run/checkpoint.ts";
import { createRun, openRun } from "../../src/run/run-folder.ts";
import { trainRun } from "../../src/run/train-run.ts";
import { Stage1Trainer } from "../../src/stage1/trainer.ts";
import { transformerConfig } from "../../src/stage2/config.ts";
import { TokenPairs } from "../../src/stage2/token-pairs.ts";
import { Stage2Trainer } from "../../src/stage2/trainer.ts";
import { silent } from "../../src/support/progress.ts";
import type { Stage, StepMetrics, Trainer } from "../../src/support/trainer.ts";

/* What `trainRun` hands to its trainers, seen in the trainers of a run: formulas are tested elsewhere. */

const STEPS = 6;
const settings = [
  ...["stage1", "stage2"].flatMap((stage) => [`${stage}.steps=${STEPS}`, `${stage}.warmup=1`]),
  // It needs the codebook of stage 1.
  "stage2.exposure.kind=near",
  "stage2.exposure.temperature=0.2",
  "stage2.pairs=21",
];
const config = withSettings(presets.tiny, settings, "test");
const folder = mkdtempSync(join(tmpdir(), "iqvae-"));
afterAll(() => rmSync(folder, { recursive: true }));

interface Step {
  readonly rows: readonly number[];
  readonly metrics: StepMetrics;
  /** Sizes of tensors after it. */
  readonly norms: ReadonlyMap<string, number>;
}
const steps: Record<Stage, Step[]> = { stage1: [], stage2: [] };
/** Of one weight, before the first step. */
const began: Partial<Record<Stage, number[]>> = {};

const values = (tensor: Tensor) => scope(() => Array.from(tensor.detach().flatten().to("float32").read("float32")));
const norm = (tensors: Iterable<Tensor>) => Math.hypot(...[...tensors].flatMap(values));

/** What stage 2 was given, and what stage 1 had at its end. */
const codebook: { came?: number[]; trained?: number[]; temperature?: number } = {};
vi.mock(import("../../src/stage2/exposure-controls.ts"), async (original) => {
  const module = await original();
  const nearCodes: typeof module.nearCodes = (codes, temperature) => {
    codebook.came = values(codes);
    codebook.temperature = temperature;
    return module.nearCodes(codes, temperature);
  };
  return { ...module, nearCodes };
});

/** The optimizers of both stages. */
const optimizers = new Set<AdamW>();

/** The pairs that stage 2 was given. */
const taken: number[] = [];

/** Looks at every step of a kind of trainer. */
function watch(stage: Stage, prototype: Trainer, weight: string): void {
  const { step } = prototype;
  vi.spyOn(prototype, "step").mockImplementation(function (this: Trainer, rows) {
    began[stage] ??= values(this.tensors().get(weight)!);
    const metrics = step.call(this, rows);
    const norms = new Map([...this.tensors()].map(([name, tensor]) => [name, norm([tensor])]));
    if (stage === "stage1") codebook.trained = values(this.tensors().get("model.image.quantizer.codebook")!);
    steps[stage].push({ rows: [...rows], metrics, norms });
    return metrics;
  });
}

const WEIGHTS = { stage1: "model.image.decoder.head.weight", stage2: "model.positions" } as const;
beforeAll(async () => {
  process.env.IQVAE_CACHE = join(folder, "cache");
  watch("stage1", Stage1Trainer.prototype, WEIGHTS.stage1);
  watch("stage2", Stage2Trainer.prototype, WEIGHTS.stage2);
  const { step } = AdamW.prototype;
  vi.spyOn(AdamW.prototype, "step").mockImplementation(function (this: AdamW, ...args) {
    optimizers.add(this);
    step.apply(this, args);
  });
  const subset = vi.spyOn(TokenPairs.prototype, "subset");
  await trainRun(createRun(join(folder, "run"), config), { progress: silent, interrupt: { requested: false } });
  taken.push(...subset.mock.calls.flatMap(([rows]) => Array.from(rows)));
  vi.restoreAllMocks();
});

describe.each(["stage1", "stage2"] as const)("%s", (stage) => {
  test("its rate begins at the peak and falls along a cosine to a twentieth of it", () => {
    const { rate: peak } = config[stage];
    const floor = peak / 20;
    expect(steps[stage].map(({ metrics }) => metrics.rate)).toEqual(
      Array.from({ length: STEPS }, (_, step) => {
        const done = Math.max(0, step - 1) / (STEPS - 1);
        return expect.closeTo(floor + ((peak - floor) * (1 + Math.cos(Math.PI * done))) / 2, 8);
      }),
    );
  });

  test("its gradients are clipped to a norm of 1, all together", () => {
    const [{ norms, metrics }] = steps[stage] as [Step];
    // Adam's first moments after one step are a tenth of the gradients.
    const moments = [...norms].filter(([name]) => name.startsWith("optimizer.") && name.endsWith(".first"));
    const clipped = 10 * Math.hypot(...moments.map(([, size]) => size));
    expect(metrics.gradientNorm).toBeGreaterThan(1);
    expect(clipped).toBeCloseTo(1, 4);
  });
});

test("each has moments of its own decay, and lets matrices shrink, but no biases and gains", () => {
  const told = [...optimizers].map(({ paramGroups }) =>
    paramGroups.map(({ params, betas, weightDecay }) => {
      const ranks = [...params.values()].map(({ ndim }) => ndim);
      return { betas, weightDecay, ranks: [Math.min(...ranks), Math.max(...ranks)] };
    }),
  );
  const groups = (betas: readonly number[], weightDecay: number, most: number) => [
    { betas, weightDecay, ranks: [2, most] },
    { betas, weightDecay: 0, ranks: [1, 1] },
  ];
  // Kernels of convolutions have four dimensions.
  expect(told).toEqual([groups([0.9, 0.99], 1e-4, 4), groups([0.9, 0.95], config.stage2.weightDecay, 2)]);
});

test("where stage 2 is to learn from some of the pairs, they are spread over all", () => {
  expect(taken).toEqual(Array.from({ length: 21 }, (_, i) => Math.floor((145 * i) / 21)));
});

test("tokens are those of each pair of the part that weights are picked with, in its place", async () => {
  const run = openRun(join(folder, "run"));
  const { iqvae } = run.loadModels();
  const dataset = heldOutPart(await openDataset(config.data), "selection");
  scope(() => {
    const { tensors, metadata } = readSafetensors(run.tokens);
    // So that those of other weights, or of data that were exchanged, are not taken for them.
    const { sha256 } = readCheckpoint(listCheckpoints(run.checkpoints, "stage1")[0]!.path).tensors;
    expect(metadata.source).toBe(createHash("sha256").update(`${sha256} ${dataset.key}`).digest("hex"));
    for (const split of ["train", "validation"] as const) {
      const { length } = dataset[split];
      const all = Array.from({ length }, (_, row) => row);
      // In the batches in which they were encoded: others may round otherwise, where two codes are as near.
      const batches = Array.from({ length: Math.ceil(length / 16) }, (_, b) => all.slice(16 * b, 16 * (b + 1)));
      const own = batches.map((rows) => {
        const { images, rasters } = batchTensors(dataset[split].batch(rows), rows.length, dataset);
        return {
          conditions: values(iqvae.encodeCondition(rasters)),
          images: values(iqvae.encodeImage(images)),
        };
      });
      for (const side of ["conditions", "images"] as const)
        expect(values(tensors.get(`${split}.${side}`)!), `${split}, ${side}`).toEqual(
          own.flatMap((each) => each[side]),
        );
    }
  });
  dataset.close();
});

test("near codes are those of the image's codebook, at the temperature that is configured", () => {
  expect(codebook.came).toEqual(codebook.trained);
  expect(codebook.temperature).toBe(0.2);
  expect(new Set(codebook.came).size).toBeGreaterThan(1);
});

test("each stage has rows in an order of its own, and weights from a seed of its own", () => {
  const { seed, stage1, stage2 } = config;
  const drawn = (pairs: number, from: number, rows: number) => {
    const loader = new Loader(pairs, from);
    return Array.from({ length: STEPS }, () => [...loader.next(rows)]);
  };
  expect(steps.stage1.map(({ rows }) => rows)).toEqual(drawn(145, seed, stage1.batch));
  expect(steps.stage2.map(({ rows }) => rows)).toEqual(drawn(21, seed + 1, stage2.batch * stage2.accumulate));

  manualSeed(seed);
  const iqvae = new IqVae(stage1.model, conditionFor(conditionSpec(config.data), config.data.size));
  expect(began.stage1).toEqual(values(iqvae.image.decoder.head.weight));
  manualSeed(seed + 1);
  const transformer = new Transformer(transformerConfig(stage2), iqvae.tokenShape(config.data.size));
  expect(began.stage2).toEqual(values(transformer.positions));
});
