import { GroupNorm, Linear, Module, ops, type Tensor } from "@iqvae/torch";
import type { Condition } from "../../conditions/index.ts";
import { type AutoencoderConfig, type Axes, Encoder } from "../../models/autoencoder.ts";

/** Length of the vectors that images and conditions are compared by, `D`. */
const DIMS = 128;
const GROUPS = 8;
/** Cosines are divided by it [L: Radford et al. 2021, where training begins]. */
const TEMPERATURE = 0.07;
/** The logit of what is left out. */
const NEVER = -1e4;

const IMAGE: AutoencoderConfig = { channels: 48, multipliers: [1, 2, 4], blocks: 1, patch: 4 };
const SEQUENCE: AutoencoderConfig = { channels: 64, multipliers: [1, 2, 3], blocks: 1, patch: 1 };

/**
 * Planes `[B, C, H, W]` → unit vectors float32 `[B, D]`. Of each feature the largest value counts, wherever it is: with means
 * over positions, of which most hold nothing, words were hardly told apart [O].
 */
class Tower extends Module {
  readonly encoder: Encoder;
  readonly norm: GroupNorm;
  readonly head: Linear;

  constructor(inputs: number, config: AutoencoderConfig, axes: Axes) {
    super();
    this.encoder = new Encoder(inputs, config, axes);
    this.norm = new GroupNorm(GROUPS, this.encoder.width, { silu: true });
    this.head = new Linear(this.encoder.width, DIMS);
  }

  forward(planes: Tensor): Tensor {
    const features = this.norm.forward(this.encoder.forward(planes)).amax([2, 3]);
    const x = this.head.forward(features).to("float32");
    return x.div(x.square().sum([1], true).add(1e-12).sqrt());
  }
}

/** Two towers that put an image and the text or sound it shows near each other (Radford et al. 2021, CLIP). */
export class Towers extends Module {
  readonly image: Tower;
  readonly condition: Tower;

  /** @param condition of kind `text` or `audio`: letters, or bands of a spectrogram, are the channels of a sequence */
  constructor({ inputChannels, planes: [height] }: Condition) {
    super();
    this.image = new Tower(3, IMAGE, "both");
    this.condition = new Tower(inputChannels * height, SEQUENCE, "width");
  }

  /** Planes `[B, 3, H, W]` in [−1, 1] → unit vectors float32 `[B, D]`. */
  embedImages(planes: Tensor): Tensor {
    return this.image.forward(planes);
  }

  /** Planes of conditions `[B, C, H, W]` → unit vectors float32 `[B, D]`. */
  embedConditions(planes: Tensor): Tensor {
    const [B, C, H, W] = planes.shape as [number, number, number, number];
    const sequences = planes.reshape([B, C * H, 1, W]);
    return this.condition.forward(sequences.contiguous({ memory_format: "channels_last" }));
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
    const cosines = this.embedImages(images).mm(this.embedConditions(conditions).t());
    const own = ops.aten.arange(B, { device: concepts.device });
    const alike = concepts
      .unsqueeze(0)
      .eq(concepts.unsqueeze(1))
      .bitwise_and(own.unsqueeze(0).ne(own.unsqueeze(1)));
    const logits = cosines.to("float32").div(TEMPERATURE).masked_fill(alike, NEVER); // [B images, B conditions]
    return ops.aten.cross_entropy_loss(logits, own).add(ops.aten.cross_entropy_loss(logits.t(), own)).div(2);
  }
}
