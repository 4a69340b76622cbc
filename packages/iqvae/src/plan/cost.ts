import { autoencoderLayers, type LayerCost, total, transformerLayers } from "./layers.ts";
import { lossLayers } from "./losses.ts";
import { type Planned, plannedTokens } from "./planned.ts";

/** What a stage's training costs. */
export interface StageCost {
  readonly parameters: number;
  /** Operations of one step: two for each multiplication with its addition, of products and convolutions alone. */
  readonly operations: number;
  /** Pairs, or sequences, of one pass, and passes of one step. */
  readonly batch: number;
  readonly passes: number;
  readonly memory: MemoryCost;
}

/** Bytes at the worst moment of a step. */
export interface MemoryCost {
  /** Weights, moments of the optimizers, running averages, networks that are not trained: there all the time. */
  readonly lasting: number;
  /** What comes on top at the worst moment of the way back: what is kept for it, gradients, what passes. */
  readonly step: number;
  readonly peak: number;
}

/** Bytes a trained value: weights and the two moments of AdamW, float32; stage 2 has averaged weights, too. */
const LASTING = { stage1: 12, stage2: 16 } as const;

/**
 * What the heap takes for what a step asks of it: blocks of many sizes come and go, and gaps between them stay. Measured, see
 * docs/performance.md; without it all estimates were 11 to 20 % low.
 */
const HEAP = 1.35;

/** Both halves, or the one that there is, and the losses. */
export function stage1Layers(planned: Planned, batch = planned.stage1Batch): LayerCost[] {
  const { image, condition, size } = planned;
  const halves = [autoencoderLayers(3, 3, image, [size, size])];
  if (condition.kind === "planes") {
    const { inputs, outputs, model } = condition;
    halves.push(autoencoderLayers(inputs, outputs, model, condition.size));
  }
  return [...halves.flat(), ...lossLayers(planned, batch)];
}

export function stage2Layers(planned: Planned): LayerCost[] {
  return transformerLayers(planned.transformer, plannedTokens(planned));
}

/** Stage 1 once the discriminator has joined, if there is one; without k-means, which places the codes once. */
export function stage1Cost(planned: Planned, batch = planned.stage1Batch): StageCost {
  const layers = stage1Layers(planned, batch);
  return {
    parameters: total(layers, ({ parameters }) => parameters),
    operations: batch * total(layers, ({ forward, backward }) => forward + backward),
    batch,
    passes: 1,
    memory: memory(layers, batch, planned.precision, LASTING.stage1),
  };
}

/** Stage 2, with the second passes of those steps that mix samples in spread over all steps. */
export function stage2Cost(planned: Planned, batch = planned.stage2Batch, passes = planned.accumulate): StageCost {
  const layers = stage2Layers(planned);
  const { exposure } = planned;
  const once = total(layers, ({ forward, backward }) => forward + backward);
  const twice = exposure.kind === "gumbel" && exposure.gradient;
  return {
    parameters: total(layers, ({ parameters }) => parameters),
    operations: batch * passes * (once + sampling(planned, layers)),
    batch,
    passes,
    memory: memory(
      twice ? [...layers, ...withoutParameters(layers)] : layers,
      batch,
      planned.precision,
      LASTING.stage2,
    ),
  };
}

/** What mixing samples in adds to a sequence, as a mean over steps: one more pass, both ways or forward alone. */
function sampling(planned: Planned, layers: readonly LayerCost[]): number {
  const { exposure } = planned;
  const forward = total(layers, (layer) => layer.forward);
  const backward = total(layers, (layer) => layer.backward);
  switch (exposure.kind) {
    case "gumbel": {
      // y·W and the gradient of W; that of y only where it is followed.
      const products = exposure.gradient ? 3 : 2;
      const pass = exposure.gradient ? forward + backward : forward;
      return (pass + products * embeddingOfSamples(planned)) / exposure.every;
    }
    case "scheduled":
      return forward / exposure.every;
    default:
      return 0;
  }
}

/** `y·W` of Gumbel sampling. */
function embeddingOfSamples(planned: Planned): number {
  const { imageTokens, imageCodes } = plannedTokens(planned);
  return 2 * (imageTokens - 1) * imageCodes * planned.transformer.width;
}

/** The second pass of Gumbel sampling runs through the same weights, while what the first has kept is still there. */
function withoutParameters(layers: readonly LayerCost[]): LayerCost[] {
  return layers.map((layer) => ({ ...layer, parameters: 0 }));
}

/**
 * Goes back through the layers as the gradient does: what is kept shrinks, gradients of weights grow, and what passes is
 * there for a moment. The largest sum counts.
 */
function memory(
  layers: readonly LayerCost[],
  batch: number,
  precision: Planned["precision"],
  lastingBytes: number,
): MemoryCost {
  const value = precision === "bfloat16" ? 2 : 4;
  // Autocast keeps a rounded copy of each weight until the end of the step.
  const copies = precision === "bfloat16" ? 2 * total(layers, ({ parameters, fixed }) => parameters + fixed) : 0;
  let kept = total(layers, (layer) => batch * (value * layer.kept + 4 * layer.keptFloat32));
  let gradients = 0;
  let worst = 0;
  for (const layer of layers.toReversed()) {
    const passing = batch * (value * layer.passing + 4 * layer.passingFloat32);
    worst = Math.max(worst, kept + gradients + 4 * layer.parameters + passing);
    kept -= batch * (value * layer.kept + 4 * layer.keptFloat32);
    gradients += 4 * layer.parameters;
  }
  const lasting = total(layers, ({ parameters, fixed }) => lastingBytes * parameters + 4 * fixed);
  const step = HEAP * (Math.max(worst, gradients) + copies);
  return { lasting, step, peak: lasting + step };
}
