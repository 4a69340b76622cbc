import { z } from "zod";
import { dataSchema } from "../data/index.ts";
import { stage1Schema } from "../stage1/config.ts";
import { stage2Schema } from "../stage2/config.ts";
import { fastPrecision } from "../support/precision.ts";
import { positive, scale } from "../support/schema.ts";

/** How images are drawn where nothing else is asked for, and what an exported model says of it. */
export const samplingSchema = z.strictObject({
  /** Below 1 safer, above 1 more varied. */
  temperature: scale.default(1),
  /** Only so many of the likeliest codes; `null` for all. */
  topK: positive.nullable().default(null),
  /** Only the likeliest codes that reach this probability. */
  topP: z.number().gt(0).max(1).default(1),
  /** Above 1 follows the condition more closely; needs `stage2.conditionDropout`. */
  guidance: scale.default(1),
});

/** All that a run is made from. Parsing fills in defaults, so that what is stored has every value. */
export const configSchema = z.strictObject({
  /** That of the run folder. */
  name: z
    .string()
    .regex(/^[\w.-]+$/, "must be made of letters, digits, '.', '_' and '-'")
    .refine((name) => !/^\.+$/.test(name), "is not a name of its own; choose another"),
  seed: z.int().min(0),
  data: dataSchema,
  /** A run whose weights both stages begin with; `null`: with random ones. */
  pretrained: z
    .strictObject({ path: z.string().min(1) })
    .nullable()
    .default(null),
  stage1: stage1Schema,
  stage2: stage2Schema,
  sampling: samplingSchema.prefault({}),
  /** Of matrix products and convolutions; weights are float32. `auto` takes bfloat16 where it is the faster one. */
  precision: z
    .enum(["auto", "bfloat16", "float32"])
    .transform((precision) => (precision === "auto" ? fastPrecision() : precision)),
  /** Steps between lines of the log, held-out figures, checkpoints and pictures. */
  logEvery: positive,
  evaluateEvery: positive,
  checkpointEvery: positive,
  sampleEvery: positive,
  /** Steps of stage 2 after which a checkpoint is written that stays, so that its weights can be measured later. */
  keepAt: z.array(positive).default([]),
});

/** A configuration as people write it: what has a default may be left out. */
export type ConfigInput = z.input<typeof configSchema>;
/** A configuration with every value. */
export type Config = z.output<typeof configSchema>;
