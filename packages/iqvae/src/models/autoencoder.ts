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

const GROUPS = 8;

/** Two normalised convolutions beside an identity (He et al. 2016, pre-activation as in VQGAN). */
class ResidualBlock extends Module {
  readonly norm1: GroupNorm;
  readonly conv1: Conv2d;
  readonly norm2: GroupNorm;
  readonly conv2: Conv2d;
  readonly skip: Conv2d | null;

  constructor(inputs: number, outputs: number) {
    super();
    this.norm1 = new GroupNorm(GROUPS, inputs, { silu: true });
    this.conv1 = new Conv2d(inputs, outputs, 3);
    this.norm2 = new GroupNorm(GROUPS, outputs, { silu: true });
    this.conv2 = new Conv2d(outputs, outputs, 3);
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

  constructor(channels: number) {
    super();
    this.conv = new Conv2d(channels, channels, 3);
  }

  forward(x: Tensor): Tensor {
    const [, , h, w] = x.shape as [number, number, number, number];
    return this.conv.forward(ops.aten.upsample_nearest2d(x, [2 * h, 2 * w]));
  }
}

type Layer = ResidualBlock | Conv2d | Upsample;

/** Planes `[B, C, H, W]` → features `[B, d, h, w]` with `d = channels · last multiplier`. */
export class Encoder extends Module {
  readonly stem: Conv2d;
  readonly layers: Layer[];
  readonly width: number;

  constructor(inputs: number, config: AutoencoderConfig) {
    super();
    const { channels, multipliers, blocks, patch } = config;
    const widths = multipliers.map((multiplier) => channels * multiplier);
    this.stem =
      patch === 1
        ? new Conv2d(inputs, widths[0]!, 3)
        : new Conv2d(inputs, widths[0]!, patch, { stride: patch, padding: 0 });
    this.layers = [];
    let width = widths[0]!;
    widths.forEach((next, level) => {
      if (level > 0) this.layers.push(new Conv2d(width, width, 3, { stride: 2 }));
      for (let i = 0; i < blocks; i++) {
        this.layers.push(new ResidualBlock(width, next));
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

  constructor(outputs: number, config: AutoencoderConfig) {
    super();
    const { channels, multipliers, blocks, patch } = config;
    const widths = multipliers.map((multiplier) => channels * multiplier).reverse();
    this.layers = [];
    let width = widths[0]!;
    widths.forEach((next, level) => {
      if (level > 0) this.layers.push(new Upsample(width));
      for (let i = 0; i < blocks; i++) {
        this.layers.push(new ResidualBlock(width, next));
        width = next;
      }
    });
    this.norm = new GroupNorm(GROUPS, width, { silu: true });
    this.head = new Conv2d(width, outputs * patch * patch, 3);
    this.#patch = patch;
  }

  forward(features: Tensor): Tensor {
    const x = this.layers.reduce((hidden, layer) => layer.forward(hidden), features);
    const planes = this.head.forward(this.norm.forward(x));
    return this.#patch === 1 ? planes : ops.aten.pixel_shuffle(planes, this.#patch);
  }
}
