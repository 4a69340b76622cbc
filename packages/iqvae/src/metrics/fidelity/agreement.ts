import { conditionFor, meanFidelity } from "../../conditions/index.ts";
import type { ConditionSpec } from "../../data/index.ts";
import type { FidelityFigure } from "./measure.ts";
import { lineF1, meanIou } from "./overlap.ts";

/**
 * How well conditions that were read out of images agree with those that the images were drawn for. Maps and lines are counted
 * over all images together; points and boxes are the means over images of what `Condition.fidelity` says of one.
 *
 * @param size side of the images in pixels
 * @returns takes what was read and what is true, conditions of equal number one after the other; `undefined` for kinds that
 *   lie in no place of the image
 */
export function agreementOf(
  spec: ConditionSpec,
  size: number,
): ((read: Uint8Array, truth: Uint8Array) => FidelityFigure[]) | undefined {
  const condition = conditionFor(spec, size);
  switch (spec.kind) {
    case "semantic":
      return (read, truth) => [higher("fidelity", "mIoU", meanIou(read, truth, spec.classes.length))];
    case "lines":
    case "edges":
      return (read, truth) => [higher("fidelity", `${spec.kind.slice(0, -1)} F1`, lineF1(read, truth, size))];
    case "keypoints":
      return (read, truth) => {
        const { found, closeness } = meanFidelity(condition, truth, read);
        return [
          higher("fidelity", "points within 5 % of the side", found!),
          {
            key: "fidelity.error",
            label: "error of points, % of the side",
            value: 100 * (1 - closeness!),
            better: "lower",
          },
        ];
      };
    case "layout":
      return (read, truth) => {
        const { f1, agreement } = meanFidelity(condition, truth, read);
        return [higher("fidelity", "box F1", f1!), higher("fidelity.overlap", "overlap of boxes", agreement!)];
      };
    case "text":
    case "audio":
      return undefined;
  }
}

function higher(key: string, label: string, value: number): FidelityFigure {
  return { key, label, value, better: "higher" };
}
