import { checkRaster } from "./check.ts";
import type { Condition } from "./condition.ts";
import { paint, scaleNearest } from "./raster.ts";
import { equalShare } from "./semantic.ts";
import type { Rgb } from "./spec.ts";

const PAPER_AND_INK: readonly Rgb[] = [
  [255, 255, 255],
  [0, 0, 0],
];

/** A drawing of lines or edges `[size, size]`, 0 or 1 a pixel: one plane. */
export function lines(kind: "lines" | "edges", size: number): Condition {
  const shape = [size, size] as const;
  const check = (drawing: Uint8Array) => checkRaster({ kind }, drawing, shape);
  return {
    kind,
    shape,
    planes: shape,
    inputChannels: 1,
    planesOf: (drawing) => Float32Array.from(drawing),
    check,
    draw(drawing, side) {
      check(drawing);
      return scaleNearest(paint(drawing, PAPER_AND_INK), size, size, side);
    },
    describe: (drawing) => `${drawing.reduce((sum, ink) => sum + ink, 0)} pixels of lines`,
    fidelity: (truth, guess) => ({ accuracy: equalShare(truth, guess), f1: f1(truth, guess) }),
  };
}

/** Twice the common ink over all ink; two blank drawings agree. */
function f1(truth: Uint8Array, guess: Uint8Array): number {
  const common = truth.reduce((sum, ink, i) => sum + (ink & guess[i]!), 0);
  const all = [truth, guess].reduce((sum, drawing) => sum + drawing.reduce((ink, value) => ink + value, 0), 0);
  return all === 0 ? 1 : (2 * common) / all;
}
