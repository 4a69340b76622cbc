import { z } from "zod";
import { weight as anyWeight, scale } from "../support/schema.ts";
import { DISTANCES } from "./distances.ts";

/** Of the regularizer in the loss; the trainer multiplies. 0.2 made tokens predictable at no cost in reconstruction. */
const weight = anyWeight.default(0.2);
const distance = z.enum(DISTANCES).default("cosine");
/** Feature vectors drawn at every step from all positions of the batch. */
const samples = (count: number) => z.int().min(2).default(count);
/** All places with all of the batch, or those of one image with each other. */
const pairs = z.enum(["batch", "image"]).default("batch");
const normalize = z.boolean().default(false);
/** Which encoders learn from it: both, or one alone, which then follows the other, which is left to its own task. */
const gradient = z.enum(["both", "condition", "image"]).default("both");

/** The estimators that {@link createRegularizer} makes. */
export const estimatorSchema = z.discriminatedUnion("estimator", [
  z.strictObject({
    estimator: z.literal("sliced"),
    weight,
    samples: samples(1024),
    directions: z.int().positive().default(50),
    /**
     * `unit`: vectors are brought to one length first, so that shrinking all features is no way out, and scaled so that the
     * expected squared difference of a projection is the cosine distance. `raw`: as they come.
     */
    features: z.enum(["unit", "raw"]).default("unit"),
    normalize,
    gradient,
  }),
  z
    .strictObject({
      estimator: z.literal("paired"),
      weight,
      pairs,
      /** `null`: every place, which costs little, but for `euclidean` with its cost of all pairs. */
      samples: z.int().min(2).nullable().default(null),
      distance,
      gradient,
    })
    .refine(({ pairs, samples }) => pairs === "batch" || samples === null, {
      path: ["samples"],
      message: "pairs of one image are all of its places; use null, or pairs 'batch'",
    }),
  z.strictObject({
    estimator: z.literal("entropic"),
    weight,
    samples: samples(128),
    distance,
    /** Weight of the plan's entropy, relative to the mean squared distance. */
    epsilon: scale.default(0.01),
    normalize,
    gradient,
  }),
]);

/**
 * The choice in a configuration, `none` for independent quantization; parsing fills in the defaults. The last two are no
 * estimators of the Gromov–Wasserstein discrepancy, but controls that stand in their place.
 */
export const regularizerSchema = z.discriminatedUnion("estimator", [
  z.strictObject({ estimator: z.literal("none") }),
  ...estimatorSchema.options,
  /** As `paired` on the image's side, against the mean colors of the image itself: no condition takes part. */
  z.strictObject({ estimator: z.literal("colors"), weight, pairs }),
  /** How badly a small network predicts the image's features from the condition's and from those before. */
  z.strictObject({ estimator: z.literal("prediction"), weight: anyWeight.default(0.1) }),
]);

/** All values of an estimator, defaults resolved. */
export type EstimatorConfig = z.output<typeof estimatorSchema>;
/** What a person writes: the estimator, and what shall differ from the defaults. */
export type EstimatorInput = z.input<typeof estimatorSchema>;
