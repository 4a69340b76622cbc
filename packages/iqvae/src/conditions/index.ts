import type { ConditionSpec } from "../data/dataset.ts";
import type { Condition } from "./condition.ts";
import { lines } from "./lines.ts";
import { semantic } from "./semantic.ts";

export type { Condition } from "./condition.ts";

/** The condition that a data set's rasters need. */
export function conditionFor(spec: ConditionSpec): Condition {
  return spec.kind === "semantic" ? semantic(spec.classes.length) : lines(spec.kind);
}
