import { plainCondition } from "@iqvae/runtime";
import { ops, type Tensor } from "@iqvae/torch";
import type { Condition } from "./condition.ts";

const SURE = 20;

/** A drawing of lines or edges `[size, size]`, 0 or 1 a pixel: one plane, binary cross-entropy in nats a pixel. */
export function lines(kind: "lines" | "edges", size: number): Condition {
  const toPlanes = (drawing: Tensor) => drawing.to("float32").unsqueeze(-1).permute([0, 3, 1, 2]);
  return {
    ...plainCondition({ kind }, size),
    outputChannels: 1,
    toPlanes,
    toLogits: (drawing) => toPlanes(drawing).mul(2).sub(1).mul(SURE),
    loss(logits, drawing) {
      const x = logits.squeeze(1).to("float32");
      // −log σ(x) where there is a line and −log σ(−x) elsewhere. libtorch's own has no form for the `meta` device from 2.x on.
      return ops.aten.softplus(x).sub(x.mul(drawing)).mean();
    },
    fromLogits: (logits) => logits.squeeze(1).gt(0).to("uint8"),
  };
}
