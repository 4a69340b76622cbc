import { checkRaster } from "./check.ts";
import type { Condition } from "./condition.ts";
import { paint, scaleNearest } from "./raster.ts";
import type { SemanticClass } from "./spec.ts";

/** A map of class numbers `[size, size]`: one plane a class. */
export function semantic(classes: readonly SemanticClass[], size: number): Condition {
  const count = classes.length;
  const shape = [size, size] as const;
  const colors = classes.map(({ color }) => color);
  const check = (map: Uint8Array) => checkRaster({ kind: "semantic", classes }, map, shape);
  return {
    kind: "semantic",
    shape,
    planes: shape,
    inputChannels: count,
    planesOf: (map) => oneHot(map, count),
    check,
    draw(map, side) {
      check(map);
      return scaleNearest(paint(map, colors), size, size, side);
    },
    describe: (map) =>
      [...new Set(map)]
        .sort((a, b) => a - b)
        .map((label) => classes[label]?.name ?? label)
        .join(", "),
    fidelity: (truth, guess) => ({ accuracy: equalShare(truth, guess), mapIou: mapIou(truth, guess, count) }),
  };
}

/** For each value a 1 in its own place among `count`. */
export function oneHot(values: Uint8Array, count: number): Float32Array {
  const planes = new Float32Array(values.length * count);
  values.forEach((value, i) => {
    planes[i * count + value] = 1;
  });
  return planes;
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
