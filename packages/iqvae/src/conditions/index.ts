import { audio } from "./audio.ts";
import type { Condition } from "./condition.ts";
import { keyPoints } from "./key-points.ts";
import { layout } from "./layout.ts";
import { lines } from "./lines.ts";
import { semantic } from "./semantic.ts";
import type { ConditionSpec } from "./spec.ts";
import { text } from "./text.ts";

export { GOLDEN_ANGLE, hslColor, layoutBytes, meanFidelity, plainText, textBytes, textOf } from "@iqvae/runtime";
export type { Condition } from "./condition.ts";
export * from "./spec.ts";

/** The condition that a data set's samples need, for images of `size` pixels a side. */
export function conditionFor(spec: ConditionSpec, size: number): Condition {
  switch (spec.kind) {
    case "semantic":
      return semantic(spec.classes, size);
    case "lines":
    case "edges":
      return lines(spec.kind, size);
    case "keypoints":
      return keyPoints(spec, size);
    case "layout":
      return layout(spec, size);
    case "text":
      return text(spec, size);
    case "audio":
      return audio(spec, size);
  }
}
