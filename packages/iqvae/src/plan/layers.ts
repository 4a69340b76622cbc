import { type AutoencoderConfig, axesOf, reduction, type Sides } from "../models/autoencoder.ts";
import type { VqConfig } from "../models/iqvae.ts";
import type { TokenShape, TransformerConfig } from "../models/transformer.ts";

/**
 * One step through a network, for one item of a batch. Letters: `C` channels, `H W` pixels, `T` tokens.
 */
export interface LayerCost {
  readonly name: string;
  /** Trained values. */
  readonly parameters: number;
  /** Operations of the forward pass: two for each multiplication with its addition, of products and convolutions alone. */
  readonly forward: number;
  /** Operations of the backward pass: as many again for the gradient of each side that has one. */
  readonly backward: number;
  /** Values that are kept for the way back, in the precision of products. */
  readonly kept: number;
  /** Values that are kept in float32 whatever the precision. */
  readonly keptFloat32: number;
  /** Values, in the precision of products, that the way back makes and lets go of while it passes the layer. */
  readonly passing: number;
}

const NOTHING = { parameters: 0, forward: 0, backward: 0, kept: 0, keptFloat32: 0, passing: 0 };

/** Pixels of planes, and along how many axes convolutions act: 2, or 1 for a sequence. */
interface Extent {
  readonly area: number;
  readonly axes: 1 | 2;
}

/** The planes after each side that counts was reduced by a factor; below 1 it is enlarged. */
function reduced({ area, axes }: Extent, by: number): Extent {
  return { area: area / by ** axes, axes };
}

/**
 * A convolution that keeps its input. With `first`, the input is data and has no gradient.
 *
 * @param extent of the output
 * @param stride of its input, in which it keeps `stride` times as many pixels along each axis
 */
function convolution(
  name: string,
  {
    from,
    to,
    kernel,
    extent,
    stride = 1,
    first = false,
  }: Record<"from" | "to" | "kernel", number> & {
    extent: Extent;
    stride?: number;
    first?: boolean;
  },
): LayerCost {
  const { area, axes } = extent;
  const forward = 2 * from * to * kernel ** axes * area;
  const kept = from * stride ** axes * area;
  return {
    ...NOTHING,
    name,
    parameters: to * (from * kernel ** axes + 1),
    forward,
    backward: first ? forward : 2 * forward,
    kept,
    passing: kept + to * area,
  };
}

/** Group norm and SiLU in one: keeps what comes in. */
function norm(name: string, channels: number, { area }: Extent): LayerCost {
  const values = channels * area;
  return { ...NOTHING, name, parameters: 2 * channels, kept: values, passing: 2 * values };
}

function residual(name: string, from: number, to: number, extent: Extent): LayerCost[] {
  const layers = [
    norm(`${name}.norm1`, from, extent),
    convolution(`${name}.conv1`, { from, to, kernel: 3, extent }),
    norm(`${name}.norm2`, to, extent),
    convolution(`${name}.conv2`, { from: to, to, kernel: 3, extent }),
  ];
  if (from === to) return layers;
  // What the skip keeps, norm1 has kept.
  return [{ ...convolution(`${name}.skip`, { from, to, kernel: 1, extent }), kept: 0 }, ...layers];
}

function levelsOf({ channels, multipliers }: AutoencoderConfig): number[] {
  return multipliers.map((multiplier) => channels * multiplier);
}

/** The layers of `Encoder` for planes of an extent. */
function encoderLayers(inputs: number, config: AutoencoderConfig, planes: Extent): LayerCost[] {
  const { blocks, patch } = config;
  const widths = levelsOf(config);
  let extent = reduced(planes, patch);
  let width = widths[0]!;
  const stem = { from: inputs, to: width, kernel: patch === 1 ? 3 : patch, extent, stride: patch, first: true };
  const layers = [convolution("encoder.stem", stem)];
  widths.forEach((next, level) => {
    if (level > 0) {
      extent = reduced(extent, 2);
      layers.push(convolution(`encoder.${level}.down`, { from: width, to: width, kernel: 3, extent, stride: 2 }));
    }
    for (let i = 0; i < blocks; i++) {
      layers.push(...residual(`encoder.${level}.${i}`, width, next, extent));
      width = next;
    }
  });
  return layers;
}

/** The layers of `Decoder` for a grid of codes. */
function decoderLayers(outputs: number, config: AutoencoderConfig, grid: Extent): LayerCost[] {
  const { blocks, patch } = config;
  const widths = levelsOf(config).reverse();
  const layers: LayerCost[] = [];
  let extent = grid;
  let width = widths[0]!;
  widths.forEach((next, level) => {
    if (level > 0) {
      extent = reduced(extent, 1 / 2);
      layers.push(convolution(`decoder.${level}.up`, { from: width, to: width, kernel: 3, extent }));
    }
    for (let i = 0; i < blocks; i++) {
      layers.push(...residual(`decoder.${level}.${i}`, width, next, extent));
      width = next;
    }
  });
  const head = convolution("decoder.head", { from: width, to: outputs * patch ** extent.axes, kernel: 3, extent });
  return [...layers, norm("decoder.norm", width, extent), head];
}

/** Projections and the search among the codes, for `N` places. The search has no gradient. */
function quantizerLayers(width: number, { codes, codeDim }: VqConfig, N: number): LayerCost[] {
  const linear = (name: string, from: number, to: number): LayerCost => ({
    ...NOTHING,
    name,
    parameters: to * (from + 1),
    forward: 2 * N * from * to,
    backward: 4 * N * from * to,
    kept: N * from,
    passing: N * (from + to),
  });
  // Unit vectors, their norms, the codes chosen and what the commitment loss keeps.
  const search = {
    ...NOTHING,
    name: "quantizer.search",
    forward: 2 * N * codeDim * codes,
    keptFloat32: 6 * N * codeDim,
  };
  return [linear("quantizer.down", width, codeDim), search, linear("quantizer.up", codeDim, width)];
}

/**
 * One half of stage 1, encoder to decoder, with a loss that compares planes.
 *
 * @param planes their height and width
 */
export function autoencoderLayers(inputs: number, outputs: number, config: VqConfig, planes: Sides): LayerCost[] {
  const extent: Extent = { area: planes[0] * planes[1], axes: axesOf(planes) === "both" ? 2 : 1 };
  const grid = reduced(extent, reduction(config));
  const width = levelsOf(config).at(-1)!;
  const loss = {
    ...NOTHING,
    name: "loss",
    keptFloat32: (inputs + 2 * outputs) * extent.area,
    passing: 2 * outputs * extent.area,
  };
  return [
    ...encoderLayers(inputs, config, extent),
    ...quantizerLayers(width, config, grid.area),
    ...decoderLayers(outputs, config, grid),
    loss,
  ];
}

/** The transformer on whole sequences under teacher forcing, and its cross-entropy. */
export function transformerLayers(config: TransformerConfig, tokens: TokenShape): LayerCost[] {
  const { layers, width: C, heads: H, unconditional = false } = config;
  const { conditionTokens: P, imageTokens: n, imageCodes: K } = tokens;
  const T = P + n - 1;
  const embedding: LayerCost = {
    ...NOTHING,
    name: "embeddings",
    parameters: (tokens.conditionCodes + (unconditional ? 1 : 0) + K + T) * C,
  };
  const blocks = Array.from({ length: layers }, (_, i): LayerCost => {
    // Of the last layer only the outputs that are predictions.
    const kept = i === layers - 1 ? n : T;
    const products = 2 * T * C * 3 * C + 2 * kept * C * C + 2 * kept * C * 4 * C * 2;
    const attention = 2 * 2 * kept * T * C;
    const forward = products + attention;
    return {
      ...NOTHING,
      name: `blocks.${i}`,
      parameters: 12 * C * C + 13 * C,
      forward,
      backward: 2 * forward,
      // Inputs of the four products (C, C, C, 4C), queries, keys and values, what GELU takes; probabilities.
      kept: T * C + 3 * T * C + kept * (C + C + 4 * C + 4 * C) + H * kept * T,
      keptFloat32: T * C + kept * C,
      passing: Math.max(8 * kept * C, 2 * H * kept * T),
    };
  });
  const head: LayerCost = {
    ...NOTHING,
    name: "head",
    parameters: 2 * C + C * K,
    forward: 2 * n * C * K,
    backward: 4 * n * C * K,
    kept: n * C,
    keptFloat32: n * C + n * K,
    passing: 4 * n * K,
  };
  return [embedding, ...blocks, head];
}

export function total(layers: readonly LayerCost[], part: (layer: LayerCost) => number): number {
  return layers.reduce((sum, layer) => sum + part(layer), 0);
}
