import { ops } from "@iqvae/torch";
import type { Condition } from "./condition.ts";

/** A drawing of lines or edges, 0 or 1 a pixel: one plane, binary cross-entropy. */
export function lines(kind: "lines" | "edges"): Condition {
  return {
    kind,
    inputChannels: 1,
    outputChannels: 1,
    toPlanes: (raster) => raster.to("float32").unsqueeze(-1).permute([0, 3, 1, 2]),
    loss(logits, raster) {
      return ops.aten.binary_cross_entropy_with_logits(logits.squeeze(1).to("float32"), raster.to("float32"));
    },
    fromLogits: (logits) => logits.squeeze(1).gt(0).to("uint8"),
  };
}
