import { ops, type Tensor } from "@iqvae/torch";
import { checkLength, checkValues } from "./check.ts";
import type { Condition } from "./condition.ts";
import { paint, scaleNearest } from "./raster.ts";
import type { SemanticClass } from "./spec.ts";

/** Logits of a class that is certain and of those that are not. */
const SURE = 20;

/** A map of class numbers `[size, size]`: one plane a class, cross-entropy in nats a pixel. */
export function semantic(classes: readonly SemanticClass[], size: number): Condition {
  const count = classes.length;
  const shape = [size, size] as const;
  const toPlanes = (map: Tensor) => {
    const numbers = ops.aten.arange(count, { dtype: "uint8", device: map.device });
    return map.unsqueeze(-1).eq(numbers).to("float32").permute([0, 3, 1, 2]);
  };
  const check = (map: Uint8Array) => {
    checkLength("semantic", map, shape);
    checkValues("semantic", map, count - 1, (i) => `pixel ${i}`);
  };
  return {
    kind: "semantic",
    shape,
    planes: shape,
    inputChannels: count,
    outputChannels: count,
    toPlanes,
    toLogits: (map) => toPlanes(map).mul(2).sub(1).mul(SURE),
    loss(logits, map) {
      const rows = logits.permute([0, 2, 3, 1]).reshape([-1, count]).to("float32"); // [B·H·W, classes]
      return ops.aten.cross_entropy_loss(rows, map.reshape([-1]).to("int64"));
    },
    fromLogits: (logits) => logits.argmax(1).to("uint8"),
    check,
    draw(map, side) {
      check(map);
      return scaleNearest(
        paint(
          map,
          classes.map(({ color }) => color),
        ),
        size,
        size,
        side,
      );
    },
    describe: (map) =>
      [...new Set(map)]
        .sort((a, b) => a - b)
        .map((label) => classes[label]?.name ?? label)
        .join(", "),
    fidelity: (truth, guess) => ({ accuracy: equalShare(truth, guess), mapIou: mapIou(truth, guess, count) }),
  };
}

/** The share of equal bytes. */
export function equalShare(truth: Uint8Array, guess: Uint8Array): number {
  return truth.reduce((sum, value, i) => sum + Number(value === guess[i]), 0) / truth.length;
}

/** Of one map: intersection over union of each class that it or the other shows, averaged over these classes. */
function mapIou(truth: Uint8Array, guess: Uint8Array, classes: number): number {
  const both = new Float64Array(classes);
  const either = new Float64Array(classes);
  truth.forEach((label, i) => {
    const other = guess[i]!;
    either[label]! += 1;
    if (other === label) both[label]! += 1;
    else either[other]! += 1;
  });
  const shown = [...either.keys()].filter((label) => either[label]! > 0);
  return shown.reduce((sum, label) => sum + both[label]! / either[label]!, 0) / shown.length;
}
