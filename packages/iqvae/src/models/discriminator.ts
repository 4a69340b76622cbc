import { Conv2d, GroupNorm, Module, noGrad, ops, type Tensor } from "@iqvae/torch";

/** The size of a {@link Discriminator}. */
export interface DiscriminatorConfig {
  /** Width of the first layer; each later one doubles it, up to eight times. A multiple of 8. */
  readonly channels: number;
  /** Layers that halve the picture. Three see patches of 70 pixels a side, two of 34, one of 16. */
  readonly layers: number;
}

const KERNEL = 4;
const SLOPE = 0.2;
const GROUPS = 8;
const WIDEST = 8;
const INITIAL_STD = 0.02;

/** Channels after the stem and after each of the layers. */
export function discriminatorWidths({ channels, layers }: DiscriminatorConfig): number[] {
  return Array.from({ length: layers + 1 }, (_, level) => channels * Math.min(WIDEST, 2 ** level));
}

/** A convolution, normalized, with a leak instead of a hard zero. */
class Layer extends Module {
  readonly conv: Conv2d;
  readonly norm: GroupNorm;

  constructor(inputs: number, outputs: number, stride: number) {
    super();
    this.conv = new Conv2d(inputs, outputs, KERNEL, { stride, padding: 1, bias: false });
    this.norm = new GroupNorm(GROUPS, outputs, { eps: 1e-6 });
  }

  forward(x: Tensor): Tensor {
    // In place: the way back asks for what the leak gives, not for what it gets.
    return ops.aten.leaky_relu_(this.norm.forward(this.conv.forward(x)), SLOPE);
  }
}

/**
 * Tells real patches from reconstructed ones: the patch discriminator of Isola et al. 2017 (§ 3.2.2), as VQGAN uses it
 * (Esser et al. 2021), with group norm in place of batch norm: it has no running state, and an image's judgment does not
 * depend on what is judged beside it.
 */
export class Discriminator extends Module {
  readonly stem: Conv2d;
  readonly layers: Layer[];
  readonly head: Conv2d;

  constructor({ channels, layers }: DiscriminatorConfig) {
    super();
    const widths = discriminatorWidths({ channels, layers });
    this.stem = new Conv2d(3, channels, KERNEL, { stride: 2, padding: 1 });
    this.layers = Array.from(
      { length: layers },
      // All but the last halve the picture, as the stem does.
      (_, i) => new Layer(widths[i]!, widths[i + 1]!, i < layers - 1 ? 2 : 1),
    );
    this.head = new Conv2d(widths[layers]!, 1, KERNEL, { padding: 1 });
    noGrad(() => this.#initialize());
  }

  /** Isola et al. 2017, § 6.2: normal with deviation 0.02. */
  #initialize(): void {
    for (const conv of [this.stem, ...this.layers.map((layer) => layer.conv), this.head]) {
      conv.weight.normal_(0, INITIAL_STD);
      conv.bias?.zero_();
    }
  }

  /** Planes `[B, 3, H, W]` in [−1, 1] → one logit a patch, `[B, 1, h, w]`: above 0 it looks real. */
  forward(planes: Tensor): Tensor {
    const first = ops.aten.leaky_relu_(this.stem.forward(planes), SLOPE);
    return this.head.forward(this.layers.reduce((x, layer) => layer.forward(x), first));
  }
}

/** The least side of a picture for which a discriminator of so many layers has a patch left to judge. */
export function leastSide(layers: number): number {
  // The two convolutions of stride 1 at the end need three positions a side.
  return 3 * 2 ** layers;
}
