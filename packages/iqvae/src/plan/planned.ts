import { conditionFor } from "../conditions/index.ts";
import type { Config } from "../config/index.ts";
import { conditionSpec } from "../data/index.ts";
import { axesOf, reduction, type Sides, sides } from "../models/autoencoder.ts";
import type { VqConfig } from "../models/iqvae.ts";
import type { TokenShape, TransformerConfig } from "../models/transformer.ts";
import type { Exposure } from "../stage2/config.ts";
import { transformerConfig } from "../stage2/config.ts";

/** How a condition comes in: through an auto-encoder of planes, or as tokens that are there already (words, boxes). */
export type PlannedCondition =
  | {
      readonly kind: "planes";
      /** Height and width; height 1 makes them sequences. */
      readonly size: Sides;
      readonly inputs: number;
      readonly outputs: number;
      readonly model: VqConfig;
    }
  | { readonly kind: "tokens"; readonly count: number; readonly codes: number };

/** All of a training that decides what it costs. */
export interface Planned {
  readonly name: string;
  /** What it is trained on, for people. */
  readonly data: string;
  /** Pixels a side. */
  readonly size: number;
  readonly image: VqConfig;
  readonly condition: PlannedCondition;
  /** The network of the perceptual term. */
  readonly perceptual: NonNullable<Config["stage1"]["perceptual"]>["network"]["kind"] | null;
  readonly adversarial: Config["stage1"]["adversarial"];
  readonly regularizer: Config["stage1"]["regularizer"];
  /** Pairs of a step of stage 1. */
  readonly stage1Batch: number;
  readonly transformer: TransformerConfig;
  readonly exposure: Exposure;
  /** Sequences of a pass of stage 2, and passes of a step. */
  readonly stage2Batch: number;
  readonly accumulate: number;
  readonly precision: "bfloat16" | "float32";
}

/** What a configuration is to cost. */
export function plannedOf(config: Config): Planned {
  const { data, stage1, stage2 } = config;
  const { inputChannels, outputChannels, planes } = conditionFor(conditionSpec(data), data.size);
  return {
    name: config.name,
    data: `${data.name}, ${data.condition}, ${data.size} × ${data.size} pixels`,
    size: data.size,
    image: stage1.model.image,
    condition: {
      kind: "planes",
      size: planes,
      inputs: inputChannels,
      outputs: outputChannels,
      model: stage1.model.condition,
    },
    perceptual: stage1.perceptual?.network.kind ?? null,
    adversarial: stage1.adversarial,
    regularizer: stage1.regularizer,
    stage1Batch: stage1.batch,
    transformer: transformerConfig(stage2),
    exposure: stage2.exposure,
    stage2Batch: stage2.batch,
    accumulate: stage2.accumulate,
    precision: config.precision,
  };
}

/** Numbers of codes and tokens of both halves. */
export function plannedTokens({ image, condition, size }: Planned): TokenShape {
  const places = (model: VqConfig, [height, width]: Sides) => {
    const [vertical, horizontal] = sides(reduction(model), axesOf([height, width]), 1);
    return (height / vertical) * (width / horizontal);
  };
  return {
    imageCodes: image.codes,
    imageTokens: places(image, [size, size]),
    ...(condition.kind === "planes"
      ? { conditionCodes: condition.model.codes, conditionTokens: places(condition.model, condition.size) }
      : { conditionCodes: condition.codes, conditionTokens: condition.count }),
  };
}
