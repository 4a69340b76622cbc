import { type AudioSpec, plainCondition } from "@iqvae/runtime";
import type { Tensor } from "@iqvae/torch";
import type { Condition } from "./condition.ts";

/** A log-mel spectrogram `[M, F]`: one plane in [−1, 1], mean squared error. */
export function audio(spec: AudioSpec, size: number): Condition {
  const toPlanes = (spectrograms: Tensor) =>
    spectrograms.to("float32").div(127.5).sub(1).unsqueeze(-1).permute([0, 3, 1, 2]);
  return {
    ...plainCondition(spec, size),
    outputChannels: 1,
    toPlanes,
    toLogits: toPlanes,
    loss: (logits, spectrograms) => logits.to("float32").sub(toPlanes(spectrograms)).square().mean(),
    fromLogits: (logits) => logits.to("float32").squeeze(1).add(1).mul(127.5).round().clamp(0, 255).to("uint8"),
  };
}
