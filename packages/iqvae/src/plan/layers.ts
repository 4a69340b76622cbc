import { type AutoencoderConfig, type Axes, axesOf, reduction, type Sides, sides } from "../models/autoencoder.ts";
import type { VqConfig } from "../models/iqvae.ts";
import type { TokenShape, TransformerConfig } from "../models/transformer.ts";

/**
 * One step through a network, for one item of a batch. Letters: `C` channels, `H W` pixels, `T` tokens.
 */
export interface LayerCost {
  readonly name: string;
  /** Trained values. */
  readonly parameters: number;
  /** Weights that are not trained. */
  readonly fixed: number;
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
  /** The same in float32 whatever the precision. */
  readonly passingFloat32: number;
}

export const NOTHING = {
  parameters: 0,
  fixed: 0,
  forward: 0,
  backward: 0,
  kept: 0,
  keptFloat32: 0,
  passing: 0,
  passingFloat32: 0,
};

/** The planes of one level: their height and width, and the axes that convolutions act along. */
export interface Level {
  readonly size: Sides;
  readonly axes: Axes;
}

export const area = ([height, width]: Sides) => height * width;

/** The level whose planes are `factor` times as large along the network's axes. */
export function scaled({ size, axes }: Level, factor: number): Level {
  const [vertical, horizontal] = sides(factor, axes, 1);
  return { size: [size[0] * vertical, size[1] * horizontal], axes };
}

interface Convolution {
  readonly from: number;
  readonly to: number;
  readonly kernel: number;
  /** Of the output. */
  readonly at: Level;
  /** Of its input, which is as many times larger and is kept. */
  readonly stride?: number;
  /** The input is data and has no gradient. */
  readonly first?: boolean;
}

/** A convolution, which keeps its input. */
export function convolution(name: string, { from, to, kernel, at, stride = 1, first = false }: Convolution): LayerCost {
  const taps = area(sides(kernel, at.axes, 1));
  const forward = 2 * from * to * taps * area(at.size);
  const kept = from * area(scaled(at, stride).size);
  return {
    ...NOTHING,
    name,
    parameters: to * (from * taps + 1),
    forward,
    backward: first ? forward : 2 * forward,
    kept,
    passing: kept + to * area(at.size),
  };
}

/** Group norm and SiLU in one: keeps what comes in. */
export function norm(name: string, channels: number, at: Level): LayerCost {
  const values = channels * area(at.size);
  return { ...NOTHING, name, parameters: 2 * channels, kept: values, passing: 2 * values };
}

function residual(name: string, from: number, to: number, at: Level): LayerCost[] {
  const layers = [
    norm(`${name}.norm1`, from, at),
    convolution(`${name}.conv1`, { from, to, kernel: 3, at }),
    norm(`${name}.norm2`, to, at),
    convolution(`${name}.conv2`, { from: to, to, kernel: 3, at }),
  ];
  if (from === to) return layers;
  // What the skip keeps, norm1 has kept.
  return [{ ...convolution(`${name}.skip`, { from, to, kernel: 1, at }), kept: 0 }, ...layers];
}

function levelsOf({ channels, multipliers }: AutoencoderConfig): number[] {
  return multipliers.map((multiplier) => channels * multiplier);
}

/** The layers of `Encoder` for planes as they come in. */
function encoderLayers(inputs: number, config: AutoencoderConfig, planes: Level): LayerCost[] {
  const { blocks, patch } = config;
  const widths = levelsOf(config);
  let at = scaled(planes, 1 / patch);
  let width = widths[0]!;
  const stem = { from: inputs, to: width, kernel: patch === 1 ? 3 : patch, at, stride: patch, first: true };
  const layers = [convolution("encoder.stem", stem)];
  widths.forEach((next, level) => {
    if (level > 0) {
      at = scaled(at, 1 / 2);
      layers.push(convolution(`encoder.${level}.down`, { from: width, to: width, kernel: 3, at, stride: 2 }));
    }
    for (let i = 0; i < blocks; i++) {
      layers.push(...residual(`encoder.${level}.${i}`, width, next, at));
      width = next;
    }
  });
  return layers;
}

/** The layers of `Decoder` from the grid of codes on. */
function decoderLayers(outputs: number, config: AutoencoderConfig, grid: Level): LayerCost[] {
  const { blocks, patch } = config;
  const widths = levelsOf(config).reverse();
  const layers: LayerCost[] = [];
  let at = grid;
  let width = widths[0]!;
  widths.forEach((next, level) => {
    if (level > 0) {
      at = scaled(at, 2);
      layers.push(convolution(`decoder.${level}.up`, { from: width, to: width, kernel: 3, at }));
    }
    for (let i = 0; i < blocks; i++) {
      layers.push(...residual(`decoder.${level}.${i}`, width, next, at));
      width = next;
    }
  });
  const head = { from: width, to: outputs * area(sides(patch, at.axes, 1)), kernel: 3, at };
  return [...layers, norm("decoder.norm", width, at), convolution("decoder.head", head)];
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
 * @param size height and width of the planes; height 1 makes them sequences
 */
export function autoencoderLayers(inputs: number, outputs: number, config: VqConfig, size: Sides): LayerCost[] {
  const planes = { size, axes: axesOf(size) };
  const grid = scaled(planes, 1 / reduction(config));
  const width = levelsOf(config).at(-1)!;
  const loss = {
    ...NOTHING,
    name: "loss",
    keptFloat32: (inputs + 2 * outputs) * area(size),
    passing: 2 * outputs * area(size),
  };
  return [
    ...encoderLayers(inputs, config, planes),
    ...quantizerLayers(width, config, area(grid.size)),
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
