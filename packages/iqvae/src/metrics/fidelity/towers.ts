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
const LETTERS: AutoencoderConfig = { channels: 64, multipliers: [1, 2, 3], blocks: 1, patch: 1 };
const SOUND: AutoencoderConfig = { channels: 32, multipliers: [1, 2, 3], blocks: 1, patch: 2 };
/** Bands of pitch that are told apart in a sound. */
const PITCHES = 4;

/**
 * Planes `[B, C, H, W]` → unit vectors float32 `[B, D]`. Of each feature the largest value counts, wherever it is: with means
 * over positions, of which most hold nothing, words were hardly told apart [O].
 */
class Tower extends Module {
  readonly encoder: Encoder;
  readonly norm: GroupNorm;
  readonly head: Linear;
  readonly #rows: number;

  /** @param rows parts of the height whose largest values are kept apart */
  constructor(inputs: number, config: AutoencoderConfig, axes: Axes, rows = 1) {
    super();
    this.encoder = new Encoder(inputs, config, axes);
    this.norm = new GroupNorm(GROUPS, this.encoder.width, { eps: 1e-6, silu: true });
    this.head = new Linear(this.encoder.width * rows, DIMS);
    this.#rows = rows;
  }

  forward(planes: Tensor): Tensor {
    const features = this.norm.forward(this.encoder.forward(planes)).to("float32");
    const [largest] = ops.aten.adaptive_max_pool2d(features, [this.#rows, 1]);
    const x = this.head.forward(largest.flatten(1)).to("float32");
    return x.div(x.square().sum([1], true).add(1e-12).sqrt());
  }
}

/** Two towers that put an image and the text or sound it shows near each other (Radford et al. 2021, CLIP). */
export class Towers extends Module {
  readonly image: Tower;
  readonly condition: Tower;

  /** @param condition of kind `text` or `audio` */
  constructor({ kind, inputChannels }: Condition) {
    super();
    this.image = new Tower(3, IMAGE, "both");
    this.condition =
      kind === "text" ? new Tower(inputChannels, LETTERS, "width") : new Tower(inputChannels, SOUND, "both", PITCHES);
  }

  /** Planes `[B, 3, H, W]` in [−1, 1] → unit vectors float32 `[B, D]`. */
  embedImages(planes: Tensor): Tensor {
    return this.image.forward(planes);
  }

  /** Planes of conditions `[B, C, H, W]` → unit vectors float32 `[B, D]`. */
  embedConditions(planes: Tensor): Tensor {
    // Most of a spectrogram is silence, at −1.
    return this.condition.forward(planes.sub(planes.mean([1, 2, 3], true)));
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
