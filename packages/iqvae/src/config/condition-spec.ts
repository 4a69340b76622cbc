import { type ConditionSpec, FACE_CLASSES, HAND_POINTS } from "../data/index.ts";
import type { Config } from "./schema.ts";

/** What the conditions of a configuration's data hold, without opening the data. */
export function conditionSpec({ condition }: Config["data"]): ConditionSpec {
  switch (condition) {
    case "semantic":
      return { kind: condition, classes: FACE_CLASSES };
    case "keypoints":
      return HAND_POINTS;
    default:
      return { kind: condition };
  }
}
