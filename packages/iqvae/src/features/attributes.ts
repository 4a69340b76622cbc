import { Conv2d, GroupNorm, Linear, Module, ops, scope, type Tensor } from "@iqvae/torch";
import { toUnitRange } from "../models/iqvae.ts";
import type { Attribute } from "./attribute-labels.ts";
import type { FeatureLayer, FeatureNetwork } from "./network.ts";

/** Channels of each level; each level after the first halves the grid. */
export const WIDTHS = [32, 64, 128, 192] as const;
const GROUPS = 8;
/** The condition is told in a grid of this many cells a side. */
const CELLS = 4;
const LAYOUT_WEIGHT = 0.5;

/** What is true of a batch of images. */
export interface AttributeTruth {
  /** int64 `[B, attributes]`; −1 is left out. */
  readonly labels: Tensor;
  /** Shares of each cell's pixels that are of each class of the condition: float32 `[B, classes, cells, cells]`. */
  readonly layout: Tensor;
}

/** Planes of a condition, one a class, or a single one of lines → {@link AttributeTruth.layout}. */
export function layoutOf(planes: Tensor): Tensor {
  const shares = ops.aten.adaptive_avg_pool2d(planes.contiguous(), [CELLS, CELLS]);
  return shares.shape[1] === 1 ? ops.aten.cat([shares.mul(-1).add(1), shares], 1) : shares;
}

class Level extends Module {
  readonly conv1: Conv2d;
  readonly norm1: GroupNorm;
  readonly conv2: Conv2d | null;
  readonly norm2: GroupNorm | null;

  constructor(inputs: number, outputs: number, first: boolean) {
    super();
    this.conv1 = new Conv2d(inputs, outputs, 3, { stride: first ? 1 : 2, padding: 1 });
    this.norm1 = new GroupNorm(GROUPS, outputs, { eps: 1e-6, silu: true });
    // At full size one convolution is most of the cost already.
    this.conv2 = first ? null : new Conv2d(outputs, outputs, 3, { padding: "same" });
    this.norm2 = first ? null : new GroupNorm(GROUPS, outputs, { eps: 1e-6, silu: true });
  }

  forward(x: Tensor): Tensor {
    const hidden = this.norm1.forward(this.conv1.forward(x));
    return this.conv2 === null ? hidden : this.norm2!.forward(this.conv2.forward(hidden));
  }
}

/**
 * A small convolutional network that tells the attributes of an image and where in it things are: what stands in for Inception and VGG where nothing is
 * downloaded [O]. Its features are the means of its last level over positions.
 */
export class AttributesNetwork extends Module {
  readonly levels: Level[];
  readonly heads: Linear[];
  readonly layout: Linear;
  readonly #classes: number;

  /** @param classes of the condition: see {@link layoutOf} */
  constructor(attributes: readonly Attribute[], classes: number) {
    super();
    this.levels = WIDTHS.map((width, i) => new Level(i === 0 ? 3 : WIDTHS[i - 1]!, width, i === 0));
    this.heads = attributes.map(({ classes: count }) => new Linear(WIDTHS.at(-1)!, count));
    this.layout = new Linear(WIDTHS.at(-1)!, classes * CELLS * CELLS);
    this.#classes = classes;
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
   * classes do not outweigh the others; and the same of the layout. Rare ids are learned slowly, and where things are at once.
   */
  loss(planes: Tensor, { labels, layout }: AttributeTruth): Tensor {
    const features = this.embed(planes);
    const parts = this.heads.map((head, i) => {
      const logits = head.forward(features).to("float32");
      const nats = ops.aten.cross_entropy_loss(logits, labels.select(1, i), null, 1, -1);
      return nats.div(Math.log(logits.shape[1]!));
    });
    const told = this.layout.forward(features).to("float32").reshape([-1, this.#classes, CELLS, CELLS]);
    const nats = told.log_softmax(1).mul(layout).sum([1]).mean().neg();
    const mean = parts.reduce((sum, part) => sum.add(part)).div(parts.length);
    return mean.add(nats.div(Math.log(this.#classes)), { alpha: LAYOUT_WEIGHT });
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
