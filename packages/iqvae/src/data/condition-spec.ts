import type { Config } from "../config/schema.ts";
import {
  CAPTION,
  type ConditionSpec,
  FACE_CLASSES,
  HAND_POINTS,
  heroSpec,
  importedCondition,
  isImport,
  SCENE_LAYOUT,
  SPEECH,
} from "./index.ts";

/** What the conditions of a configuration's data hold, without opening the data. */
export function conditionSpec(data: Config["data"]): ConditionSpec {
  if (isImport(data)) return importedCondition(data);
  if (data.name === "heroes") return heroSpec(data.condition);
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
