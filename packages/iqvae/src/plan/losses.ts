import { WIDTHS as ATTRIBUTE_WIDTHS } from "../features/attributes.ts";
import { BLOCKS as VGG16_BLOCKS } from "../features/vgg.ts";
import type { Sides } from "../models/autoencoder.ts";
import { type DiscriminatorConfig, discriminatorWidths } from "../models/discriminator.ts";
import { PLAN_DEFAULTS } from "../regularizer/entropic.ts";
import type { EstimatorConfig } from "../regularizer/index.ts";
import { area, convolution, type LayerCost, type Level, NOTHING, norm, scaled, total } from "./layers.ts";
import { type Planned, plannedTokens } from "./planned.ts";

/** The layers of the losses, in the order in which a step calls them. */
export function lossLayers(planned: Planned, batch: number): LayerCost[] {
  const { perceptual, adversarial, regularizer, size } = planned;
  const looked = perceptual === null ? [] : perceptualLayers(perceptual, [size, size]);
  const tied = regularizer.estimator === "none" ? [] : [regularizerLayer(regularizer, planned, batch)];
  const opposed = adversarial === null ? [] : adversaryLayers(adversarial, planned, looked);
  return [...looked, ...tied, ...opposed];
}

/** A convolution of a network that is not trained: forward for both pictures, backward to the reconstruction alone. */
function frozen(layer: LayerCost): LayerCost {
  const { parameters, forward } = layer;
  return { ...layer, parameters: 0, fixed: parameters, forward: 2 * forward, backward: forward };
}

/** The network of the perceptual term, then the distances of what its levels see. */
function perceptualLayers(kind: "attributes" | "vgg16-lpips", size: Sides): LayerCost[] {
  const levels = kind === "attributes" ? attributesLevels(size) : vgg16Levels(size);
  const distances = levels.map(({ width, at }, i) => {
    const values = width * area(at.size);
    return {
      ...NOTHING,
      name: `perceptual.${i}.distance`,
      // VGG-16 has weights of channels, and keeps what its last rectifier of a level gives.
      ...(kind === "attributes" ? {} : { fixed: width, kept: values }),
      // Activations in float32, and differences; on the way back the gradients of both, of their norms and their sum.
      keptFloat32: 2 * values,
      passingFloat32: 5 * values,
    };
  });
  return [...levels.flatMap(({ layers }) => layers.map(frozen)), ...distances];
}

interface FeatureLevel {
  readonly layers: LayerCost[];
  readonly width: number;
  readonly at: Level;
}

function vgg16Levels(size: Sides): FeatureLevel[] {
  let from = 3;
  return VGG16_BLOCKS.map((block, i) => {
    const at: Level = scaled({ size, axes: "both" }, 2 ** -i);
    const pool = {
      ...NOTHING,
      name: `perceptual.${i}.pool`,
      keptFloat32: 2 * from * area(at.size), // places of the largest, 64 bits each
      passing: 5 * from * area(at.size),
    };
    const layers = block.map((to, k) => {
      const made = convolution(`perceptual.${i}.conv${k}`, { from, to, kernel: 3, at });
      from = to;
      return made;
    });
    return { layers: i === 0 ? layers : [pool, ...layers], width: from, at };
  });
}

function attributesLevels(size: Sides): FeatureLevel[] {
  return ATTRIBUTE_WIDTHS.map((width, i) => {
    const at: Level = scaled({ size, axes: "both" }, 2 ** -i);
    const name = `perceptual.${i}`;
    const before = ATTRIBUTE_WIDTHS[i - 1] ?? 3;
    const first = convolution(`${name}.conv1`, { from: before, to: width, kernel: 3, at, stride: i === 0 ? 1 : 2 });
    const second = [
      convolution(`${name}.conv2`, { from: width, to: width, kernel: 3, at }),
      norm(`${name}.norm2`, width, at),
    ];
    return { layers: [first, norm(`${name}.norm1`, width, at), ...(i === 0 ? [] : second)], width, at };
  });
}

/** The discriminator, once it has joined, and what its adaptive weight asks for. */
function adversaryLayers(
  { channels, layers }: DiscriminatorConfig,
  { image, size }: Planned,
  looked: readonly LayerCost[],
): LayerCost[] {
  const widths = discriminatorWidths({ channels, layers });
  let side = size;
  const judged = [3, ...widths].map((from, i) => {
    const input = from * side ** 2;
    const stride = i < layers ? 2 : 1;
    side = stride === 2 ? side / 2 : side - 1;
    const to = widths[i] ?? 1;
    const conv = convolution(`discriminator.${i}`, { from, to, kernel: 4, at: { size: [side, side], axes: "both" } });
    const normed = i > 0 && i < widths.length;
    const output = to * side ** 2;
    return {
      ...conv,
      // Between stem and head norms have the bias, and keep what they get.
      parameters: conv.parameters + (normed ? to : 0),
      // Of both pictures, which keep what they are judged by. The way back goes to the reconstruction once for the adaptive
      // weight, and once more when the discriminator learns; the real picture has no gradient.
      forward: 2 * conv.forward,
      backward: (i === 0 ? 4 : 5) * conv.forward,
      kept: 2 * (input + (normed ? output : 0)),
      passing: input + 2 * output,
    };
  });
  const { forward } = convolution("decoder.head", {
    from: image.channels * image.multipliers[0]!,
    to: 3 * image.patch ** 2,
    kernel: 3,
    at: scaled({ size: [size, size], axes: "both" }, 1 / image.patch),
  });
  const weight = {
    ...NOTHING,
    name: "adversary.weight",
    backward: 2 * forward + total(looked, ({ backward }) => backward),
    keptFloat32: 2 * 3 * size ** 2,
  };
  return [weight, ...judged];
}

/** One side of an estimator: its number of vectors and their dimension. */
interface Side {
  readonly rows: number;
  readonly dims: number;
}

/** The regularizer, which looks at a whole batch; each of its items has its part. */
function regularizerLayer(config: EstimatorConfig, planned: Planned, batch: number): LayerCost {
  const { image, condition } = planned;
  if (condition.kind === "tokens")
    throw new Error("There is no regularizer for a condition of tokens, which has no features; use 'none'.");
  const { imageTokens, conditionTokens } = plannedTokens(planned);
  const side = (tokens: number, { codeDim }: { codeDim: number }): Side => ({
    rows: Math.min(config.samples, batch * tokens),
    dims: codeDim,
  });
  const [x, c] = [side(imageTokens, image), side(conditionTokens, condition.model)];
  const half = (whole: Side): Side => ({ ...whole, rows: Math.floor(whole.rows / 2) });
  const comparisons: [Side, Side][] =
    "normalise" in config && config.normalise
      ? [
          [half(x), half(c)],
          [half(x), half(c)],
          [half(x), half(x)],
          [half(c), half(c)],
        ]
      : [[x, c]];
  const costs = comparisons.map(([a, b]) => comparison(config, a, b));
  const each = (part: keyof Comparison) => costs.reduce((sum, cost) => sum + cost[part], 0) / batch;
  return {
    ...NOTHING,
    name: "regularizer",
    forward: each("forward"),
    backward: each("backward"),
    keptFloat32: each("kept"),
  };
}

interface Comparison {
  readonly forward: number;
  readonly backward: number;
  readonly kept: number;
}

function comparison(config: EstimatorConfig, x: Side, c: Side): Comparison {
  const [n, m] = [x.rows, c.rows];
  const inputs = n * x.dims + m * c.dims;
  const products = 2 * n ** 2 * x.dims + 2 * m ** 2 * c.dims;
  switch (config.estimator) {
    case "paired":
      return { forward: products, backward: 2 * products, kept: 3 * inputs + 3 * n ** 2 };
    case "sliced": {
      // Projections, and the gradient at once; on the smaller side's number of rows.
      const rows = Math.min(n, m);
      return { forward: 2 * 2 * config.directions * rows * (x.dims + c.dims), backward: 0, kept: 4 * inputs };
    }
    case "entropic": {
      // D_X T D_C; with as many steps of the plan as it may take, of which it often needs fewer.
      const across = 2 * n ** 2 * m + 2 * n * m ** 2;
      const within = 2 * n ** 2 + 2 * m ** 2;
      return {
        forward: products + within + (PLAN_DEFAULTS.steps + 1) * across,
        // The plan and its sums are constants.
        backward: 2 * products + within + 2 * n ** 2 * m + 2 * 2 * n * m ** 2,
        kept: 2 * (3 * inputs + 4 * (n ** 2 + m ** 2 + n * m)), // float64
      };
    }
  }
}
