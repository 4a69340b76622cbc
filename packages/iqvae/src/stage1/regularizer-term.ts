import type { Tensor } from "@iqvae/torch";
import type { IqVae } from "../models/iqvae.ts";
import { FeaturePredictor } from "../models/predictor.ts";
import { createRegularizer, meanColors } from "../regularizer/index.ts";
import type { Stage1Config } from "./config.ts";

/** What a regularizer may look at. */
export interface RegularizerInput {
  /** Unit vectors before quantization, `[B, d, h, w]` and `[B, d′, h′, w′]`. */
  readonly image: Tensor;
  readonly condition: Tensor;
  /** The picture itself, `[B, 3, H, W]` in [−1, 1]. */
  readonly picture: Tensor;
}

/** The regularizer of a training, and what it learns itself. */
export interface RegularizerTerm {
  readonly weight: number;
  /** A scalar without the weight. */
  measure(input: RegularizerInput): Tensor;
  /** A network that is trained beside the auto-encoders; `null` for most. */
  readonly predictor: FeaturePredictor | null;
}

/**
 * The regularizer of a configuration. The weights of what it learns are drawn from the default random generator.
 *
 * @param size of the pictures, pixels a side
 */
export function regularizerTerm(
  config: Stage1Config["regularizer"],
  { model, size }: { readonly model: IqVae; readonly size: number },
): RegularizerTerm | null {
  switch (config.estimator) {
    case "none":
      return null;
    case "colors": {
      const { weight, pairs } = config;
      const regularizer = createRegularizer({ estimator: "paired", pairs, gradient: "image" });
      const measure = ({ image, picture }: RegularizerInput) => {
        const [h, w] = image.shape.slice(2) as [number, number];
        return regularizer(image, meanColors(picture, [h, w]));
      };
      return { weight, measure, predictor: null };
    }
    case "prediction": {
      const { conditionTokens, imageTokens } = model.tokenShape(size);
      const dimensions = ({ quantizer }: IqVae["image"]) => quantizer.codebook.shape[1]!;
      const predictor = new FeaturePredictor({
        conditionPlaces: conditionTokens,
        imagePlaces: imageTokens,
        conditionDim: dimensions(model.condition),
        imageDim: dimensions(model.image),
      });
      return {
        weight: config.weight,
        measure: ({ image, condition }) => predictor.surprise(image, condition),
        predictor,
      };
    }
    default: {
      const regularizer = createRegularizer(config);
      return {
        weight: config.weight,
        measure: ({ image, condition }) => regularizer(image, condition),
        predictor: null,
      };
    }
  }
}
