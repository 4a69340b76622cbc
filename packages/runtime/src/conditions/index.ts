import { audio } from "./audio.ts";
import { checkBytes } from "./check.ts";
import type { Condition } from "./condition.ts";
import { keyPoints } from "./key-points.ts";
import { layout } from "./layout.ts";
import { lines } from "./lines.ts";
import { semantic } from "./semantic.ts";
import type { ConditionSpec } from "./spec.ts";
import { text } from "./text.ts";

/** The condition that a model takes, for images of `size` pixels a side. */
export function plainCondition(spec: ConditionSpec, size: number): Condition {
  const condition = ofKind(spec, size);
  const checked = (sample: Uint8Array): Uint8Array => {
    checkBytes(condition.kind, sample, condition.shape);
    return sample;
  };
  return {
    ...condition,
    describe: (sample) => condition.describe(checked(sample)),
    fidelity: (truth, guess) => condition.fidelity(checked(truth), checked(guess)),
  };
}

function ofKind(spec: ConditionSpec, size: number): Condition {
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
      return text(spec);
    case "audio":
      return audio(spec);
  }
}
