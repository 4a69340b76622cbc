import { z } from "zod";
import type { ConditionSpec } from "../conditions/index.ts";
import { positive } from "../support/schema.ts";
import { IMAGE_SIZES } from "./dataset.ts";
import { importSchema, isImport } from "./import/requests.ts";
import { importedCondition } from "./import/specs.ts";
import { isComposed, isPhotographs, PHOTOGRAPHS, type PhotographsName, photographsSpec } from "./photographs.ts";
import { FACE_CLASSES } from "./sets/faces/draw.ts";
import { HAND_POINTS } from "./sets/hands/recipe.ts";
import { heroSpec } from "./sets/heroes/recipe.ts";
import { SCENE_LAYOUT } from "./sets/scenes/recipe.ts";
import { SPEECH } from "./sets/speech/recipe.ts";
import { CAPTION } from "./sets/words/captions.ts";

const MOST_PAIRS = 10_000_000;
const size = z.literal([...IMAGE_SIZES]);
/** Pairs to draw, training and held-out together. */
const drawn = positive.max(MOST_PAIRS).default(12_000);
/** The most pairs, spread over all that there are. */
const most = positive.max(MOST_PAIRS).default(MOST_PAIRS);

/** A set of photographs, with its conditions and its sizes. */
function photographs<const Name extends PhotographsName>(name: Name) {
  const { conditions, sizes }: (typeof PHOTOGRAPHS)[Name] = PHOTOGRAPHS[name];
  const count = isComposed(name) ? drawn : most;
  return z.strictObject({ name: z.literal(name), condition: z.enum(conditions), size: z.literal(sizes), count });
}

/** Which pairs a run is trained on. */
export const dataSchema = z.discriminatedUnion("name", [
  z.strictObject({ name: z.literal("faces"), condition: z.enum(["semantic", "lines"]), size, count: drawn }),
  z.strictObject({ name: z.literal("emoji"), condition: z.literal("edges"), size }),
  z.strictObject({ name: z.literal("hands"), condition: z.literal("keypoints"), size, count: drawn }),
  z.strictObject({ name: z.literal("heroes"), condition: z.enum(["keypoints", "semantic"]), size, count: drawn }),
  z.strictObject({ name: z.literal("scenes"), condition: z.literal("layout"), size, count: drawn }),
  z.strictObject({ name: z.literal("words"), condition: z.literal("text"), size, count: most }),
  z.strictObject({ name: z.literal("speech"), condition: z.literal("audio"), size, count: most }),
  photographs("earth"),
  photographs("earth-months"),
  photographs("cifar10"),
  photographs("fashion"),
  photographs("fashion-scenes"),
  photographs("photos"),
  photographs("stamps"),
  ...importSchema.options,
]);

export type DataConfig = z.output<typeof dataSchema>;

/** What the conditions of a configuration's data hold, without opening the data. */
export function conditionSpec(data: DataConfig): ConditionSpec {
  if (isImport(data)) return importedCondition(data);
  if (data.name === "heroes") return heroSpec(data.condition);
  if (isPhotographs(data.name)) return photographsSpec(data.name, data.condition);
  const { condition } = data;
  switch (condition) {
    case "semantic":
      return { kind: condition, classes: FACE_CLASSES };
    case "keypoints":
      return HAND_POINTS;
    case "layout":
      return SCENE_LAYOUT;
    case "text":
      return CAPTION;
    case "audio":
      return SPEECH;
    default:
      return { kind: condition };
  }
}
