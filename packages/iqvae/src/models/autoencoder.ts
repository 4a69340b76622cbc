import { Conv2d, GroupNorm, Module, ops, scope, type Tensor } from "@iqvae/torch";

/** The shape of a convolutional encoder and of the decoder that mirrors it. */
export interface AutoencoderConfig {
  /** Width of the first level. */
  readonly channels: number;
  /** Width of each level as a multiple of `channels`; each level after the first halves the grid. */
  readonly multipliers: readonly number[];
  /** Residual blocks a level in the encoder; the decoder has as many. */
  readonly blocks: number;
  /** Side of the pixel patches that the first convolution takes in one step, 1, 2 or 4: it reduces the grid by as much. */
  readonly patch: number;
}

/** Pixels a side for each code of the grid: `patch · 2^(levels − 1)`; 16 in the paper (f16). */
export function reduction(config: AutoencoderConfig): number {
  return config.patch * 2 ** (config.multipliers.length - 1);
}

/** Height and width. */
export type Sides = readonly [height: number, width: number];

/**
 * Which axes of the planes `[B, C, H, W]` the network acts along: both for what lies in a plane, the width alone for
 * sequences, whose height is 1.
 */
export type Axes = "both" | "width";

/** Planes one pixel high are sequences. */
export function axesOf([height]: Sides): Axes {
  return height === 1 ? "width" : "both";
}

/** `along` on the axes that the network acts along, `across` on the other. */
export function sides(along: number, axes: Axes, across: number): Sides {
  return [axes === "both" ? along : across, along];
}

const GROUPS = 8;

/** A convolution that keeps the grid, with a square kernel or one along the width. */
function conv(inputs: number, outputs: number, kernel: number, axes: Axes): Conv2d {
  return new Conv2d(inputs, outputs, sides(kernel, axes, 1), { padding: "same" });
}

/** Two normalized convolutions beside an identity (He et al. 2016, pre-activation as in VQGAN). */
class ResidualBlock extends Module {
  readonly norm1: GroupNorm;
  readonly conv1: Conv2d;
  readonly norm2: GroupNorm;
  readonly conv2: Conv2d;
  readonly skip: Conv2d | null;

  constructor(inputs: number, outputs: number, axes: Axes) {
    super();
    this.norm1 = new GroupNorm(GROUPS, inputs, { eps: 1e-6, silu: true });
    this.conv1 = conv(inputs, outputs, 3, axes);
    this.norm2 = new GroupNorm(GROUPS, outputs, { eps: 1e-6, silu: true });
    this.conv2 = conv(outputs, outputs, 3, axes);
    this.skip = inputs === outputs ? null : new Conv2d(inputs, outputs, 1);
  }

  forward(x: Tensor): Tensor {
    // In a scope: addition needs no operand on its way back, so the last convolutions' outputs can go.
    return scope(() => {
      const hidden = this.conv1.forward(this.norm1.forward(x));
      const change = this.conv2.forward(this.norm2.forward(hidden));
      return (this.skip?.forward(x) ?? x).add(change);
    });
  }
}

class Upsample extends Module {
  readonly conv: Conv2d;
  readonly #factor: Sides;

  constructor(channels: number, axes: Axes) {
    super();
    this.conv = conv(channels, channels, 3, axes);
    this.#factor = sides(2, axes, 1);
  }

  forward(x: Tensor): Tensor {
    const [, , h, w] = x.shape as [number, number, number, number];
    return this.conv.forward(ops.aten.upsample_nearest2d(x, [this.#factor[0] * h, this.#factor[1] * w]));
  }
}

type Layer = ResidualBlock | Conv2d | Upsample;

/** Planes `[B, C, H, W]` → features `[B, d, h, w]` with `d = channels · last multiplier`. */
export class Encoder extends Module {
  readonly stem: Conv2d;
  readonly layers: Layer[];
  readonly width: number;

  constructor(inputs: number, config: AutoencoderConfig, axes: Axes = "both") {
    super();
    const { channels, multipliers, blocks, patch } = config;
    const widths = multipliers.map((multiplier) => channels * multiplier);
    const window = sides(patch, axes, 1);
    this.stem =
      patch === 1 ? conv(inputs, widths[0]!, 3, axes) : new Conv2d(inputs, widths[0]!, window, { stride: window });
    this.layers = [];
    let width = widths[0]!;
    widths.forEach((next, level) => {
      if (level > 0) {
        const [kernel, stride, padding] = [sides(3, axes, 1), sides(2, axes, 1), sides(1, axes, 0)];
        this.layers.push(new Conv2d(width, width, kernel, { stride, padding }));
      }
      for (let i = 0; i < blocks; i++) {
        this.layers.push(new ResidualBlock(width, next, axes));
        width = next;
      }
    });
    this.width = width;
  }

  forward(planes: Tensor): Tensor {
    return this.layers.reduce((x, layer) => layer.forward(x), this.stem.forward(planes));
  }
}

/** Features `[B, d, h, w]` → planes `[B, C, H, W]`. */
export class Decoder extends Module {
  readonly layers: Layer[];
  readonly norm: GroupNorm;
  readonly head: Conv2d;
  readonly #patch: number;
  readonly #axes: Axes;

  constructor(outputs: number, config: AutoencoderConfig, axes: Axes = "both") {
    super();
    const { channels, multipliers, blocks, patch } = config;
    const widths = multipliers.map((multiplier) => channels * multiplier).reverse();
    this.layers = [];
    let width = widths[0]!;
    widths.forEach((next, level) => {
      if (level > 0) this.layers.push(new Upsample(width, axes));
      for (let i = 0; i < blocks; i++) {
        this.layers.push(new ResidualBlock(width, next, axes));
        width = next;
      }
    });
    this.norm = new GroupNorm(GROUPS, width, { eps: 1e-6, silu: true });
    this.head = conv(width, outputs * (axes === "both" ? patch * patch : patch), 3, axes);
    this.#patch = patch;
    this.#axes = axes;
  }

  forward(features: Tensor): Tensor {
    const x = this.layers.reduce((hidden, layer) => layer.forward(hidden), features);
    const planes = this.head.forward(this.norm.forward(x));
    if (this.#patch === 1) return planes;
    return this.#axes === "both" ? ops.aten.pixel_shuffle(planes, this.#patch) : shuffleAlong(planes, this.#patch);
  }
}

/** `[B, C·patch, 1, w]` → `[B, C, 1, w·patch]`: what `pixel_shuffle` does, along the width alone. */
function shuffleAlong(planes: Tensor, patch: number): Tensor {
  const [B, C, h, w] = planes.shape as [number, number, number, number];
  const split = planes.reshape([B, C / patch, patch, h, w]);
  return split.permute([0, 1, 3, 4, 2]).reshape([B, C / patch, h, w * patch]);
}
