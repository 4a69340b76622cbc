import { GroupNorm, Linear, Module, ops, type Tensor } from "@iqvae/torch";
import type { Condition } from "../../conditions/index.ts";
import { type AutoencoderConfig, type Axes, axesOf, Encoder } from "../../models/autoencoder.ts";

/** Length of the vectors that images and conditions are compared by, `D`. */
const DIMS = 128;
const GROUPS = 8;
/** Cosines are divided by it [L: Radford et al. 2021, where training begins]. */
const TEMPERATURE = 0.07;
/** The logit of what is left out. */
const NEVER = -1e4;

/** What is seen of images and spectrograms, and of letters, which are few. */
const PLANE: AutoencoderConfig = { channels: 48, multipliers: [1, 2, 4], blocks: 1, patch: 4 };
const SEQUENCE: AutoencoderConfig = { channels: 64, multipliers: [1, 2, 3], blocks: 1, patch: 1 };

/** Planes `[B, C, H, W]` → unit vectors float32 `[B, D]`. */
class Tower extends Module {
  readonly encoder: Encoder;
  readonly norm: GroupNorm;
  readonly head: Linear;

  constructor(inputs: number, axes: Axes) {
    super();
    this.encoder = new Encoder(inputs, axes === "both" ? PLANE : SEQUENCE, axes);
    this.norm = new GroupNorm(GROUPS, this.encoder.width, { silu: true });
    this.head = new Linear(this.encoder.width, DIMS);
  }

  forward(planes: Tensor): Tensor {
    const features = this.norm.forward(this.encoder.forward(planes)).mean([2, 3]);
    const x = this.head.forward(features).to("float32");
    return x.div(x.square().sum([1], true).add(1e-12).sqrt());
  }
}

/** Two towers that put an image and its condition near each other (Radford et al. 2021, CLIP). */
export class Towers extends Module {
  readonly image: Tower;
  readonly condition: Tower;

  constructor({ inputChannels, planes }: Condition) {
    super();
    this.image = new Tower(3, "both");
    this.condition = new Tower(inputChannels, axesOf(planes));
  }

  /**
   * The contrastive loss (Radford et al. 2021, fig. 3): of all conditions of the batch an image shall find its own, and of all
   * images a condition. Other pairs of the same concept are neither right nor wrong.
   *
   * @param images, conditions planes `[B, …]`
   * @param concepts `[B]` numbers, equal for pairs of one concept
   */
  loss(images: Tensor, conditions: Tensor, concepts: Tensor): Tensor {
    const B = concepts.shape[0]!;
    const cosines = this.image.forward(images).mm(this.condition.forward(conditions).t());
    const own = ops.aten.arange(B, { device: concepts.device });
    const alike = concepts
      .unsqueeze(0)
      .eq(concepts.unsqueeze(1))
      .bitwise_and(own.unsqueeze(0).ne(own.unsqueeze(1)));
    const logits = cosines.to("float32").div(TEMPERATURE).masked_fill(alike, NEVER); // [B images, B conditions]
    return ops.aten.cross_entropy_loss(logits, own).add(ops.aten.cross_entropy_loss(logits.t(), own)).div(2);
  }
}
