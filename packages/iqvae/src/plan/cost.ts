import type { Exposure } from "../training/gumbel.ts";
import { autoencoderLayers, type LayerCost, total, transformerLayers } from "./layers.ts";
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
  /** Weights, moments of the optimizer, running averages: there all the time. */
  readonly lasting: number;
  /** What comes on top at the worst moment of the way back: what is kept for it, gradients, what passes. */
  readonly step: number;
  readonly peak: number;
}

/** Weights and the two moments of AdamW, float32. */
const LASTING = { stage1: 12, stage2: 16 } as const; // stage 2 has averaged weights, too

export function stage1Layers({ image, condition, size }: Planned): LayerCost[] {
  const layers = autoencoderLayers(3, 3, image, [size, size]);
  if (condition.kind === "tokens") return layers;
  const { inputs, outputs, model, planes = [size, size] } = condition;
  return [...layers, ...autoencoderLayers(inputs, outputs, model, planes)];
}

export function stage2Layers(planned: Planned): LayerCost[] {
  return transformerLayers(planned.transformer, plannedTokens(planned));
}

/** Stage 1, without its regularizer and the way back of k-means: both are small. */
export function stage1Cost(planned: Planned, batch = planned.stage1Batch): StageCost {
  const layers = stage1Layers(planned);
  return {
    parameters: total(layers, ({ parameters }) => parameters),
    operations: batch * total(layers, ({ forward, backward }) => forward + backward),
    batch,
    passes: 1,
    memory: memory(layers, batch, planned.precision, LASTING.stage1),
  };
}

/** Stage 2, with Gumbel sampling's second passes spread over all steps. */
export function stage2Cost(planned: Planned, batch = planned.stage2Batch, passes = planned.accumulate): StageCost {
  const layers = stage2Layers(planned);
  const { exposure } = planned;
  const once = total(layers, ({ forward, backward }) => forward + backward);
  const sampled = exposure.kind === "gumbel" ? once + embeddingOfSamples(planned) : 0;
  return {
    parameters: total(layers, ({ parameters }) => parameters),
    operations: batch * passes * (once + sampled / stepsBetween(exposure)),
    batch,
    passes,
    memory: memory(
      exposure.kind === "gumbel" ? [...layers, ...withoutParameters(layers)] : layers,
      batch,
      planned.precision,
      LASTING.stage2,
    ),
  };
}

function stepsBetween(exposure: Exposure): number {
  return exposure.kind === "gumbel" ? exposure.every : 1;
}

/** `y·W` of Gumbel sampling, and the gradients of both sides. */
function embeddingOfSamples(planned: Planned): number {
  const { imageTokens, imageCodes } = plannedTokens(planned);
  return 3 * 2 * (imageTokens - 1) * imageCodes * planned.transformer.width;
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
  const copies = precision === "bfloat16" ? 2 * total(layers, ({ parameters }) => parameters) : 0;
  let kept = total(layers, (layer) => batch * (value * layer.kept + 4 * layer.keptFloat32));
  let gradients = 0;
  let worst = 0;
  for (const layer of layers.toReversed()) {
    worst = Math.max(worst, kept + gradients + 4 * layer.parameters + batch * value * layer.passing);
    kept -= batch * (value * layer.kept + 4 * layer.keptFloat32);
    gradients += 4 * layer.parameters;
  }
  const lasting = lastingBytes * total(layers, ({ parameters }) => parameters);
  const step = Math.max(worst, gradients) + copies;
  return { lasting, step, peak: lasting + step };
}
