import { Conv2d, GroupNorm, Linear, Module, ops, scope, type Tensor } from "@iqvae/torch";
import { toUnitRange } from "../../models/iqvae.ts";
import type { Attribute } from "./attribute-labels.ts";
import type { FeatureLayer, FeatureNetwork } from "./network.ts";

/** Channels of each level; each level after the first halves the grid. */
const WIDTHS = [32, 64, 128, 192] as const;
const GROUPS = 8;

class Level extends Module {
  readonly conv1: Conv2d;
  readonly norm1: GroupNorm;
  readonly conv2: Conv2d | null;
  readonly norm2: GroupNorm | null;

  constructor(inputs: number, outputs: number, first: boolean) {
    super();
    this.conv1 = new Conv2d(inputs, outputs, 3, { stride: first ? 1 : 2 });
    this.norm1 = new GroupNorm(GROUPS, outputs, { silu: true });
    // At full size one convolution is most of the cost already.
    this.conv2 = first ? null : new Conv2d(outputs, outputs, 3);
    this.norm2 = first ? null : new GroupNorm(GROUPS, outputs, { silu: true });
  }

  forward(x: Tensor): Tensor {
    const hidden = this.norm1.forward(this.conv1.forward(x));
    return this.conv2 === null ? hidden : this.norm2!.forward(this.conv2.forward(hidden));
  }
}

/**
 * A small convolutional network that tells the attributes of an image: what stands in for Inception and VGG where nothing is
 * downloaded [O]. Its features are the means of its last level over positions.
 */
export class AttributesNetwork extends Module {
  readonly levels: Level[];
  readonly heads: Linear[];

  constructor(attributes: readonly Attribute[]) {
    super();
    this.levels = WIDTHS.map((width, i) => new Level(i === 0 ? 3 : WIDTHS[i - 1]!, width, i === 0));
    this.heads = attributes.map(({ classes }) => new Linear(WIDTHS.at(-1)!, classes));
  }

  /** Planes `[B, 3, H, W]` in [−1, 1] → the outputs of all levels. */
  activations(planes: Tensor): Tensor[] {
    let x = planes;
    return this.levels.map((level) => {
      x = level.forward(x);
      return x;
    });
  }

  /** Planes → features `[B, D]`, float32. */
  embed(planes: Tensor): Tensor {
    return this.activations(planes).at(-1)!.to("float32").mean([2, 3]);
  }

  /**
   * Mean over the attributes of their cross-entropy, each as a share of that of a uniform guess, so that attributes with many
   * classes do not outweigh the others.
   *
   * @param labels int64 `[B, attributes]`; −1 is left out
   */
  loss(planes: Tensor, labels: Tensor): Tensor {
    const features = this.embed(planes);
    const parts = this.heads.map((head, i) => {
      const logits = head.forward(features).to("float32");
      const nats = ops.aten.cross_entropy_loss(logits, labels.select(1, i), null, 1, -1);
      return nats.div(Math.log(logits.shape[1]!));
    });
    return parts.reduce((sum, part) => sum.add(part)).div(parts.length);
  }

  /** For each attribute how many of the batch are told right, and of how many it is known: int64 `[attributes, 2]`. */
  hits(planes: Tensor, labels: Tensor): Tensor {
    const features = this.embed(planes);
    const rows = this.heads.map((head, i) => {
      const truth = labels.select(1, i);
      const right = head.forward(features).argmax(1).eq(truth).sum();
      return ops.aten.stack([right, truth.ge(0).sum()]);
    });
    return ops.aten.stack(rows);
  }
}

/** A trained {@link AttributesNetwork} as a feature network. */
export function attributesFeatures(network: AttributesNetwork, name: string, digest: string): FeatureNetwork {
  for (const weight of network.namedParameters().values()) weight.requiresGrad = false;
  return {
    name,
    digest,
    dims: WIDTHS.at(-1)!,
    features: (pixels) => scope(() => network.embed(toUnitRange(pixels))),
    layers: (planes) => network.activations(planes).map((activation): FeatureLayer => ({ activation, weights: null })),
  };
}
