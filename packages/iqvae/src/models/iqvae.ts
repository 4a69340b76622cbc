import { Module, noGrad, type Tensor } from "@iqvae/torch";
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
}

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

  /** Planes `[B, C, H, W]` → reconstruction `[B, C′, H, W]` and the codes between. */
  forward(planes: Tensor, mode: QuantizerMode): { reconstruction: Tensor; quantized: Quantized } {
    const quantized = this.quantizer.forward(this.encoder.forward(planes), mode);
    return { reconstruction: this.decoder.forward(quantized.output), quantized };
  }

  /** Like {@link forward}, for the decoder to learn alone: codes are what encoder and codebook make of the planes, as constants. */
  polish(planes: Tensor): { reconstruction: Tensor; quantized: Quantized } {
    const quantized = noGrad(() => this.quantizer.forward(this.encoder.forward(planes), "use"));
    return { reconstruction: this.decode(quantized.indices), quantized };
  }

  /** Planes `[B, C, H, W]` → code numbers int64 `[B, h, w]`. */
  encode(planes: Tensor): Tensor {
    const features = this.encoder.forward(planes);
    const [B, , h, w] = features.shape as [number, number, number, number];
    return this.quantizer.nearest(this.quantizer.project(features)).reshape([B, h, w]);
  }

  /** Code numbers int64 `[B, h, w]` → planes `[B, C′, H, W]`. */
  decode(indices: Tensor): Tensor {
    return this.decoder.forward(this.quantizer.lookup(indices));
  }
}

/**
 * Two vector-quantized auto-encoders, trained together (method: "Stage 1: the IQ-VAE"). Pixels go in and come out as
 * bytes; inside they lie in [−1, 1].
 */
export class IqVae extends Module {
  readonly image: VqAutoencoder;
  readonly condition: VqAutoencoder;
  readonly #condition: Condition;

  constructor(config: IqVaeConfig, condition: Condition) {
    super();
    this.#condition = condition;
    this.image = new VqAutoencoder(3, 3, config.image);
    const { inputChannels, outputChannels, planes } = condition;
    this.condition = new VqAutoencoder(inputChannels, outputChannels, config.condition, axesOf(planes));
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

  /** Code numbers int64 `[B, h, w]` → pixels uint8 `[B, H, W, 3]`. */
  decodeImage(indices: Tensor): Tensor {
    return toPixels(this.image.decode(indices));
  }

  /** Conditions uint8 `[B, …]` → code numbers int64 `[B, h, w]`. */
  encodeCondition(samples: Tensor): Tensor {
    return this.condition.encode(this.#condition.toPlanes(samples));
  }

  /** Code numbers int64 `[B, h, w]` → conditions uint8 `[B, …]`. */
  decodeCondition(indices: Tensor): Tensor {
    return this.#condition.fromLogits(this.condition.decode(indices));
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
