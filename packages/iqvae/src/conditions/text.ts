import { plainCondition, type TextSpec } from "@iqvae/runtime";
import { ops, type Tensor } from "@iqvae/torch";
import type { Condition } from "./condition.ts";

const SURE = 20;

/** A text as UTF-8 bytes `[T]`, filled up with 0: a plane a byte value, one pixel high; cross-entropy in nats a byte. */
export function text(spec: TextSpec, size: number): Condition {
  const plain = plainCondition(spec, size);
  const bytes = plain.inputChannels;
  const toPlanes = (texts: Tensor) => {
    const numbers = ops.aten.arange(bytes, { dtype: "uint8", device: texts.device });
    return texts.unsqueeze(-1).eq(numbers).to("float32").unsqueeze(1).permute([0, 3, 1, 2]); // [B, 256, 1, T]
  };
  return {
    ...plain,
    outputChannels: bytes,
    toPlanes,
    toLogits: (texts) => toPlanes(texts).mul(2).sub(1).mul(SURE),
    loss(logits, texts) {
      const rows = logits.permute([0, 2, 3, 1]).reshape([-1, bytes]).to("float32"); // [B·T, 256]
      return ops.aten.cross_entropy_loss(rows, texts.reshape([-1]).to("int64"));
    },
    fromLogits: (logits) => logits.argmax(1).squeeze(1).to("uint8"),
  };
}
