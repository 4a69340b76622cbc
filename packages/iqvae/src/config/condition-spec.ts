import { type ConditionSpec, FACE_CLASSES } from "../data/index.ts";
import type { Config } from "./schema.ts";

/** What the conditions of a configuration's data hold, without opening the data. */
export function conditionSpec({ condition }: Config["data"]): ConditionSpec {
  return condition === "semantic" ? { kind: condition, classes: FACE_CLASSES } : { kind: condition };
}
