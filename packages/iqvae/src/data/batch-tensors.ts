import { type Tensor, tensor } from "@iqvae/torch";
import { conditionShape } from "../conditions/index.ts";
import type { PairBatch, PairDataset } from "./dataset.ts";

/** The arrays of a batch of `B` pairs as tensors: pixels `[B, H, W, 3]` and conditions `[B, …]`, uint8. */
export function batchTensors(
  batch: PairBatch,
  B: number,
  { size, condition }: Pick<PairDataset, "size" | "condition">,
): { images: Tensor; rasters: Tensor } {
  return {
    images: tensor(batch.images, { shape: [B, size, size, 3] }),
    rasters: tensor(batch.conditions, { shape: [B, ...conditionShape(condition, size)] }),
  };
}
