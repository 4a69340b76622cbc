import { plainCondition, type SemanticClass } from "@iqvae/runtime";
import { ops, type Tensor } from "@iqvae/torch";
import type { Condition } from "./condition.ts";

/** Logits of a class that is certain and of those that are not. */
const SURE = 20;

/** A map of class numbers `[size, size]`: one plane a class, cross-entropy in nats a pixel. */
export function semantic(classes: readonly SemanticClass[], size: number): Condition {
  const count = classes.length;
  const toPlanes = (map: Tensor) => {
    const numbers = ops.aten.arange(count, { dtype: "uint8", device: map.device });
    return map.unsqueeze(-1).eq(numbers).to("float32").permute([0, 3, 1, 2]);
  };
  return {
    ...plainCondition({ kind: "semantic", classes }, size),
    outputChannels: count,
    toPlanes,
    toLogits: (map) => toPlanes(map).mul(2).sub(1).mul(SURE),
    loss(logits, map) {
      const rows = logits.permute([0, 2, 3, 1]).reshape([-1, count]).to("float32"); // [B·H·W, classes]
      return ops.aten.cross_entropy_loss(rows, map.reshape([-1]).to("int64"));
    },
    fromLogits: (logits) => logits.argmax(1).to("uint8"),
  };
}
