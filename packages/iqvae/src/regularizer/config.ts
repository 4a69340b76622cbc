import { z } from "zod";
import { DISTANCES } from "./distances.ts";

/** Of the regularizer in the loss; the trainer multiplies. 0.2 made tokens predictable at no cost in reconstruction. */
const weight = z.number().nonnegative().default(0.2);
const distance = z.enum(DISTANCES).default("cosine");
/** Feature vectors drawn at every step from all positions of the batch. */
const samples = (count: number) => z.int().min(2).default(count);
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
  z.strictObject({ estimator: z.literal("paired"), weight, samples: samples(512), distance, gradient }),
  z.strictObject({
    estimator: z.literal("entropic"),
    weight,
    samples: samples(128),
    distance,
    /** Weight of the plan's entropy, relative to the mean squared distance. */
    epsilon: z.number().positive().default(0.01),
    normalize,
    gradient,
  }),
]);

/** The choice in a configuration, `none` for independent quantization; parsing fills in the defaults. */
export const regularizerSchema = z.discriminatedUnion("estimator", [
  z.strictObject({ estimator: z.literal("none") }),
  ...estimatorSchema.options,
]);

/** All values of an estimator, defaults resolved. */
export type EstimatorConfig = z.output<typeof estimatorSchema>;
/** What a person writes: the estimator, and what shall differ from the defaults. */
export type EstimatorInput = z.input<typeof estimatorSchema>;
