import { ops, type Tensor } from "@iqvae/torch";
import type { Condition } from "./condition.ts";

/** A map of class numbers: one plane a class, cross-entropy. */
export function semantic(classes: number): Condition {
  return {
    kind: "semantic",
    inputChannels: classes,
    outputChannels: classes,
    toPlanes(raster) {
      const numbers = ops.aten.arange(classes, { dtype: "uint8", device: raster.device });
      return raster.unsqueeze(-1).eq(numbers).to("float32").permute([0, 3, 1, 2]);
    },
    loss(logits, raster) {
      const rows = logits.permute([0, 2, 3, 1]).reshape([-1, classes]).to("float32"); // [B·H·W, classes]
      return ops.aten.cross_entropy_loss(rows, raster.reshape([-1]).to("int64"));
    },
    fromLogits: (logits: Tensor) => logits.argmax(1).to("uint8"),
  };
}
