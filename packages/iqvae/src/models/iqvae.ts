import { Linear, Module, noGrad, type Tensor } from "@iqvae/torch";
import type { Condition } from "../conditions/index.ts";
import {
  type AutoencoderConfig,
  type Axes,
  axesOf,
  Decoder,
  Encoder,
  reduction,
  type Sides,
  sides,
} from "./autoencoder.ts";
import { type Quantized, Quantizer, type QuantizerConfig, type QuantizerMode } from "./quantizer.ts";
import type { TokenShape } from "./transformer.ts";

/** One vector-quantized auto-encoder: encoder `E`, quantizer `Q`, decoder `G`. */
export type VqConfig = AutoencoderConfig & QuantizerConfig;

export interface IqVaeConfig {
  readonly image: VqConfig;
  readonly condition: VqConfig;
  /** Whether the image's decoder sees the condition's codes as well. Both must lie on one grid. Default: no. */
  readonly coupled?: boolean;
}

/** What an auto-encoder made of planes. */
export interface Reconstructed {
  readonly reconstruction: Tensor;
  readonly quantized: Quantized;
}

/** `polish`: the decoders learn alone. */
export type IqVaeMode = QuantizerMode | "polish";

/** Image or condition half of the IQ-VAE. */
export class VqAutoencoder extends Module {
  readonly encoder: Encoder;
  readonly quantizer: Quantizer;
  readonly decoder: Decoder;
  readonly #reduction: Sides;

  /** @param axes which axes of the planes the convolutions act along */
  constructor(inputs: number, outputs: number, config: VqConfig, axes: Axes = "both") {
    super();
    this.encoder = new Encoder(inputs, config, axes);
    this.quantizer = new Quantizer(this.encoder.width, config);
    this.decoder = new Decoder(outputs, config, axes);
    this.#reduction = sides(reduction(config), axes, 1);
  }

  /** The grid of codes for planes of a height and a width. */
  gridFor([height, width]: Sides): Sides {
    return [height / this.#reduction[0], width / this.#reduction[1]];
  }

  /**
   * Planes `[B, C, H, W]` → codes, and features for the decoder.
   *
   * @param mode `polish` is for the decoder to learn alone: codes are what encoder and codebook make of the planes, as constants
   */
  quantize(planes: Tensor, mode: IqVaeMode): Quantized {
    if (mode !== "polish") return this.quantizer.forward(this.encoder.forward(planes), mode);
    const quantized = noGrad(() => this.quantizer.forward(this.encoder.forward(planes), "use"));
    return { ...quantized, output: this.quantizer.lookup(quantized.indices) };
  }

  /** Planes `[B, C, H, W]` → code numbers int64 `[B, h, w]`. */
  encode(planes: Tensor): Tensor {
    const features = this.encoder.forward(planes);
    const [B, , h, w] = features.shape as [number, number, number, number];
    return this.quantizer.nearest(this.quantizer.project(features)).reshape([B, h, w]);
  }
}

/**
 * Two vector-quantized auto-encoders, trained together (method: "Stage 1: the IQ-VAE"). Pixels go in and come out as
 * bytes; inside they lie in [−1, 1].
 */
export class IqVae extends Module {
  readonly image: VqAutoencoder;
  readonly condition: VqAutoencoder;
  /**
   * The condition's codes as features for the image's decoder, which are added to those of the image's own codes [O]; Alaniz et al. 2022
   * let a decoder see both. `null` where the halves are not coupled.
   */
  readonly coupling: Linear | null;
  readonly #condition: Condition;

  constructor(config: IqVaeConfig, condition: Condition) {
    super();
    this.#condition = condition;
    this.image = new VqAutoencoder(3, 3, config.image);
    const { inputChannels, outputChannels, planes } = condition;
    this.condition = new VqAutoencoder(inputChannels, outputChannels, config.condition, axesOf(planes));
    this.coupling = config.coupled === true ? new Linear(config.condition.codeDim, this.image.encoder.width) : null;
  }

  /**
   * Images `[B, 3, H, W]` in [−1, 1] and planes of their conditions → what both halves make of them. The gradient of a coupled image
   * reaches the condition's encoder, too.
   *
   * @param conditionMode of the condition's half, where it is not that of the image's
   */
  forward(
    images: Tensor,
    planes: Tensor,
    mode: IqVaeMode,
    conditionMode = mode,
  ): { image: Reconstructed; condition: Reconstructed } {
    const [image, condition] = [this.image.quantize(images, mode), this.condition.quantize(planes, conditionMode)];
    const features = this.#coupled(image.output, () => condition.codes);
    return {
      image: { quantized: image, reconstruction: this.image.decoder.forward(features) },
      condition: { quantized: condition, reconstruction: this.condition.decoder.forward(condition.output) },
    };
  }

  /** @param codes of the condition, `[B·h·w, codeDim]` */
  #coupled(features: Tensor, codes: () => Tensor): Tensor {
    if (this.coupling === null) return features;
    const [B, d, h, w] = features.shape as [number, number, number, number];
    return features.add(this.coupling.forward(codes()).reshape([B, h, w, d]).permute([0, 3, 1, 2]));
  }

  /** The grid of a condition's codes. */
  get conditionGrid(): Sides {
    return this.condition.gridFor(this.#condition.planes);
  }

  /** The numbers of codes and tokens for images of `size` pixels a side. */
  tokenShape(size: number): TokenShape {
    const tokens = ([h, w]: Sides) => h * w;
    return {
      conditionCodes: this.conditionCodes,
      imageCodes: this.imageCodes,
      conditionTokens: tokens(this.conditionGrid),
      imageTokens: tokens(this.image.gridFor([size, size])),
    };
  }

  /** Numbers of codes. */
  get imageCodes(): number {
    return this.image.quantizer.codes;
  }

  get conditionCodes(): number {
    return this.condition.quantizer.codes;
  }

  /** Pixels uint8 `[B, H, W, 3]` → code numbers int64 `[B, h, w]`. */
  encodeImage(pixels: Tensor): Tensor {
    return this.image.encode(toUnitRange(pixels));
  }

  /**
   * Code numbers int64 `[B, h, w]` → pixels uint8 `[B, H, W, 3]`.
   *
   * @param given code numbers of the images' conditions, as {@link encodeCondition} makes them. A coupled decoder sees them; for others,
   *   they may be `null`
   * @throws Error when a coupled decoder is not given them
   */
  decodeImage(indices: Tensor, given: Tensor | null): Tensor {
    const features = this.#coupled(this.image.quantizer.lookup(indices), () => {
      if (given === null) throw new Error("decodeImage: the image's decoder sees the condition's codes, but got none.");
      return this.condition.quantizer.codesOf(given);
    });
    return toPixels(this.image.decoder.forward(features));
  }

  /** Conditions uint8 `[B, …]` → code numbers int64 `[B, h, w]`. */
  encodeCondition(samples: Tensor): Tensor {
    return this.condition.encode(this.#condition.toPlanes(samples));
  }

  /** Code numbers int64 `[B, h, w]` → conditions uint8 `[B, …]`. */
  decodeCondition(indices: Tensor): Tensor {
    return this.#condition.fromLogits(this.condition.decoder.forward(this.condition.quantizer.lookup(indices)));
  }
}

/** Pixels uint8 `[B, H, W, 3]` → `[B, 3, H, W]` in [−1, 1], float32; already `channels_last`, since that is how bytes lie. */
export function toUnitRange(pixels: Tensor): Tensor {
  return pixels.to("float32").div_(127.5).sub_(1).permute([0, 3, 1, 2]);
}

/** `[B, 3, H, W]` in [−1, 1] → pixels uint8 `[B, H, W, 3]`. */
export function toPixels(planes: Tensor): Tensor {
  return planes
    .detach()
    .to("float32")
    .add(1)
    .mul_(127.5)
    .round_()
    .clamp_(0, 255)
    .to("uint8")
    .permute([0, 2, 3, 1])
    .contiguous();
}
