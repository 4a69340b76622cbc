import { type ConditionSpec, conditionChannels } from "./conditions/spec.ts";
import type { TokenCounts } from "./sampling/options.ts";

/** Height and width. */
export type Sides = readonly [height: number, width: number];

/** An auto-encoder with its quantizer, as configurations have it. */
export interface AutoencoderShape {
  /** Width of the first level. */
  readonly channels: number;
  /** Width of each level as a multiple of `channels`; each level after the first halves the grid. */
  readonly multipliers: readonly number[];
  /** Residual blocks a level. */
  readonly blocks: number;
  /** Side of the pixel patches that the first convolution takes in one step. */
  readonly patch: 1 | 2 | 4;
  readonly codes: number;
  readonly codeDim: number;
}

/** Both auto-encoders. */
export interface AutoencoderShapes {
  readonly condition: AutoencoderShape;
  readonly image: AutoencoderShape;
  /** Whether the image's decoder sees the condition's codes as well, which lie on the same grid. Default: no. */
  readonly coupled?: boolean;
}

export interface TransformerShape {
  readonly layers: number;
  readonly width: number;
  readonly heads: number;
  /** Whether it has one more code of the condition, the last, that stands for none. Guidance needs it. */
  readonly unconditional: boolean;
}

/** What of a model decides its weights: a part of a `Bundle`. */
export interface ModelShape {
  readonly condition: ConditionSpec;
  readonly grids: { readonly condition: Sides; readonly image: Sides };
  readonly autoencoders: AutoencoderShapes;
  readonly transformer: TransformerShape;
}

/** The layer that brings a condition's codes to the image's decoder. */
export const COUPLING = "coupling";

/** How many tokens and codes a model has, as drawing wants to know. */
export function tokenCounts({ grids, autoencoders, transformer }: ModelShape): TokenCounts {
  return {
    conditionCodes: autoencoders.condition.codes,
    imageCodes: autoencoders.image.codes,
    conditionTokens: grids.condition[0] * grids.condition[1],
    imageTokens: grids.image[0] * grids.image[1],
    absent: transformer.unconditional ? autoencoders.condition.codes : undefined,
  };
}

/** The largest numbers that a reader of models takes: memory is made by them before there is a weight to look at. */
export const LARGEST = {
  channels: 4096,
  multiplier: 64,
  blocks: 64,
  codes: 1_048_576,
  codeDim: 4096,
  layers: 512,
  width: 65_536,
  heads: 1024,
} as const;

/** Groups of every normalization over channels, and the numbers that keep divisions finite. */
export const GROUPS = 8;
export const GROUP_EPSILON = 1e-6;
export const LAYER_EPSILON = 1e-5;
/** The least length that a vector is divided by when it is brought to length 1. */
export const UNIT_EPSILON = 1e-6;

/** A convolution with a bias; `name.weight` is `[outputs, inputs, ...kernel]`. */
export interface ConvLayer {
  readonly kind: "conv";
  readonly name: string;
  readonly inputs: number;
  readonly outputs: number;
  readonly kernel: Sides;
  readonly stride: Sides;
  readonly padding: Sides;
}

/** Normalization in groups, then SiLU; `name.weight` and `name.bias` are `[channels]`. */
export interface NormLayer {
  readonly kind: "norm";
  readonly name: string;
  readonly channels: number;
}

/** `skip(x) + conv2(norm2(conv1(norm1(x))))`; without `skip` it is x itself. */
export interface ResidualLayer {
  readonly kind: "residual";
  readonly norm1: NormLayer;
  readonly conv1: ConvLayer;
  readonly norm2: NormLayer;
  readonly conv2: ConvLayer;
  readonly skip: ConvLayer | null;
}

/** Repeats every element `factor` times along each axis, then a convolution. */
export interface UpsampleLayer {
  readonly kind: "upsample";
  readonly factor: Sides;
  readonly conv: ConvLayer;
}

/** `[B, C·fh·fw, H, W]` → `[B, C, H·fh, W·fw]`, as `pixel_shuffle` does. */
export interface ShuffleLayer {
  readonly kind: "shuffle";
  readonly factor: Sides;
}

export type Layer = ConvLayer | NormLayer | ResidualLayer | UpsampleLayer | ShuffleLayer;

/** Pixels of height and width for each code. Planes one pixel high are sequences, whose height stays. */
function reductionOf({ patch, multipliers }: AutoencoderShape, [height]: Sides): Sides {
  const along = patch * 2 ** (multipliers.length - 1);
  return [height === 1 ? 1 : along, along];
}

/** The grid of codes for planes of a height and a width. */
export function gridOf(shape: AutoencoderShape, planes: Sides): Sides {
  const [down, across] = reductionOf(shape, planes);
  return [planes[0] / down, planes[1] / across];
}

/** `along` on both axes, or on the width alone for sequences, with `across` on the other. */
type Along = (along: number, across: number) => Sides;

function conv(name: string, inputs: number, outputs: number, kernel: Sides): ConvLayer {
  const padding = [Math.floor(kernel[0] / 2), Math.floor(kernel[1] / 2)] as const;
  return { kind: "conv", name, inputs, outputs, kernel, stride: [1, 1], padding };
}

function residual(name: string, inputs: number, outputs: number, along: Along): ResidualLayer {
  return {
    kind: "residual",
    norm1: { kind: "norm", name: `${name}.norm1`, channels: inputs },
    conv1: conv(`${name}.conv1`, inputs, outputs, along(3, 1)),
    norm2: { kind: "norm", name: `${name}.norm2`, channels: outputs },
    conv2: conv(`${name}.conv2`, outputs, outputs, along(3, 1)),
    skip: inputs === outputs ? null : conv(`${name}.skip`, inputs, outputs, [1, 1]),
  };
}

/** Planes of the condition → features, from the first layer to the last. The quantizer follows. */
export function encoderLayers({ condition, autoencoders }: Pick<ModelShape, "condition" | "autoencoders">): Layer[] {
  const { channels, multipliers, blocks, patch } = autoencoders.condition;
  const along = alongOf(condition);
  const widths = multipliers.map((multiplier) => channels * multiplier);
  const inputs = conditionChannels(condition);
  const name = "condition.encoder";
  const window = along(patch, 1);
  const layers: Layer[] = [
    patch === 1
      ? conv(`${name}.stem`, inputs, widths[0]!, along(3, 1))
      : { ...conv(`${name}.stem`, inputs, widths[0]!, window), stride: window, padding: [0, 0] },
  ];
  const next = () => `${name}.layers.${layers.length - 1}`;
  let width = widths[0]!;
  widths.forEach((wide, level) => {
    if (level > 0) layers.push({ ...conv(next(), width, width, along(3, 1)), stride: along(2, 1) });
    for (let i = 0; i < blocks; i++) {
      layers.push(residual(next(), width, wide, along));
      width = wide;
    }
  });
  return layers;
}

/** Features of the image's codes → planes of red, green and blue, from the first layer to the last. */
export function decoderLayers({ autoencoders }: Pick<ModelShape, "autoencoders">): Layer[] {
  const { channels, multipliers, blocks, patch } = autoencoders.image;
  const along: Along = (side) => [side, side];
  const widths = multipliers.map((multiplier) => channels * multiplier).reverse();
  const layers: Layer[] = [];
  const name = "image.decoder";
  const next = () => `${name}.layers.${layers.length}`;
  let width = widths[0]!;
  widths.forEach((wide, level) => {
    if (level > 0)
      layers.push({ kind: "upsample", factor: [2, 2], conv: conv(`${next()}.conv`, width, width, [3, 3]) });
    for (let i = 0; i < blocks; i++) {
      layers.push(residual(next(), width, wide, along));
      width = wide;
    }
  });
  layers.push({ kind: "norm", name: `${name}.norm`, channels: width });
  layers.push(conv(`${name}.head`, width, 3 * patch * patch, [3, 3]));
  if (patch > 1) layers.push({ kind: "shuffle", factor: [patch, patch] });
  return layers;
}

/** Only a text has planes one pixel high, and an audio of one band. */
function alongOf(condition: ConditionSpec): Along {
  const sequence = condition.kind === "text" || (condition.kind === "audio" && condition.bands === 1);
  return (along, across) => [sequence ? across : along, along];
}

/**
 * The names and shapes of all tensors that drawing needs: what `model.safetensors` holds, no more and no less. They are those of
 * checkpoints, after `condition.` and `image.` for stage 1 and `transformer.` for stage 2.
 */
export function weightShapes(shape: ModelShape): Map<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>();
  const pair = (name: string, size: readonly number[]) => {
    shapes.set(`${name}.weight`, size);
    shapes.set(`${name}.bias`, size.slice(0, 1));
  };
  const add = (layer: Layer): void => {
    switch (layer.kind) {
      case "conv":
        pair(layer.name, [layer.outputs, layer.inputs, ...layer.kernel]);
        break;
      case "norm":
        pair(layer.name, [layer.channels]);
        break;
      case "residual":
        for (const each of [layer.norm1, layer.conv1, layer.norm2, layer.conv2]) add(each);
        if (layer.skip !== null) add(layer.skip);
        break;
      case "upsample":
        add(layer.conv);
        break;
      case "shuffle":
        break;
    }
  };
  const { condition, image } = shape.autoencoders;
  const features = ({ channels, multipliers }: AutoencoderShape) => channels * multipliers.at(-1)!;
  encoderLayers(shape).forEach(add);
  pair("condition.quantizer.down", [condition.codeDim, features(condition)]);
  shapes.set("condition.quantizer.codebook", [condition.codes, condition.codeDim]);
  shapes.set("image.quantizer.codebook", [image.codes, image.codeDim]);
  pair("image.quantizer.up", [features(image), image.codeDim]);
  if (shape.autoencoders.coupled === true) pair(COUPLING, [features(image), condition.codeDim]);
  decoderLayers(shape).forEach(add);
  const { layers, width, unconditional } = shape.transformer;
  const tokens = (grid: Sides) => grid[0] * grid[1];
  const name = "transformer";
  shapes.set(`${name}.conditionEmbedding.weight`, [condition.codes + (unconditional ? 1 : 0), width]);
  shapes.set(`${name}.imageEmbedding.weight`, [image.codes, width]);
  shapes.set(`${name}.positions`, [tokens(shape.grids.condition) + tokens(shape.grids.image) - 1, width]);
  for (let i = 0; i < layers; i++) {
    const block = `${name}.blocks.${i}`;
    pair(`${block}.norm1`, [width]);
    pair(`${block}.attention.qkv`, [3 * width, width]);
    pair(`${block}.attention.project`, [width, width]);
    pair(`${block}.norm2`, [width]);
    pair(`${block}.expand`, [4 * width, width]);
    pair(`${block}.contract`, [width, 4 * width]);
  }
  pair(`${name}.norm`, [width]);
  shapes.set(`${name}.head.weight`, [image.codes, width]);
  return shapes;
}
