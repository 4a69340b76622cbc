import { ops, type Tensor } from "@iqvae/torch";
import { checkLength, checkValues } from "./check.ts";
import type { Condition } from "./condition.ts";
import { paint, scaleNearest } from "./raster.ts";
import { equalShare } from "./semantic.ts";
import type { Rgb } from "./spec.ts";

const PAPER_AND_INK: readonly Rgb[] = [
  [255, 255, 255],
  [0, 0, 0],
];
const SURE = 20;

/** A drawing of lines or edges `[size, size]`, 0 or 1 a pixel: one plane, binary cross-entropy in nats a pixel. */
export function lines(kind: "lines" | "edges", size: number): Condition {
  const shape = [size, size] as const;
  const toPlanes = (drawing: Tensor) => drawing.to("float32").unsqueeze(-1).permute([0, 3, 1, 2]);
  const check = (drawing: Uint8Array) => {
    checkLength(kind, drawing, shape);
    checkValues(kind, drawing, 1, (i) => `pixel ${i}`);
  };
  return {
    kind,
    shape,
    planes: shape,
    inputChannels: 1,
    outputChannels: 1,
    toPlanes,
    toLogits: (drawing) => toPlanes(drawing).mul(2).sub(1).mul(SURE),
    loss(logits, drawing) {
      return ops.aten.binary_cross_entropy_with_logits(logits.squeeze(1).to("float32"), drawing.to("float32"));
    },
    fromLogits: (logits) => logits.squeeze(1).gt(0).to("uint8"),
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
