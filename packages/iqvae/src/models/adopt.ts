import { noGrad, ops, type Tensor } from "@iqvae/torch";
import type { IqVae } from "./iqvae.ts";
import type { Quantizer } from "./quantizer.ts";
import type { Transformer } from "./transformer.ts";

/** A trained model whose weights another one begins with. */
export interface Pretrained<Model> {
  readonly model: Model;
  /** Whether both read conditions of one form with auto-encoders of one size; if not, nothing that is known of conditions is taken. */
  readonly sameCondition: boolean;
}

/**
 * Copies the weights of stage 1: the image's half, and where conditions are the same, the condition's half and what couples both.
 *
 * @throws Error where the images' halves are of other sizes; nothing is changed then
 */
export function adoptIqVae(to: IqVae, { model, sameCondition }: Pretrained<IqVae>): void {
  to.image.loadStateDict(model.image.stateDict());
  if (!sameCondition) return;
  to.condition.loadStateDict(model.condition.stateDict());
  // A training may begin to couple what was not, or the other way round.
  if (to.coupling !== null && model.coupling !== null) to.coupling.loadStateDict(model.coupling.stateDict());
}

/**
 * Fits what a codebook has counted to another number of vectors in a batch: else codes would be taken for dead, or kept when they are.
 *
 * @param vectors of a batch, of all processes
 */
export function rescaleCounts({ counts, sums }: Quantizer, vectors: number): void {
  noGrad(() => {
    const factor = vectors / counts.sum().item();
    counts.mul_(factor);
    sums.mul_(factor);
  });
}

/**
 * Copies the weights of stage 2: all about images, and where conditions are the same, all about conditions. Positions are taken as far as
 * both have as many tokens. A code for "no condition" is new where only one of both has it.
 *
 * @throws Error where the transformers, or the images' codebooks, are of other sizes
 */
export function adoptTransformer(to: Transformer, { model, sameCondition }: Pretrained<Transformer>): void {
  noGrad(() => {
    to.imageEmbedding.loadStateDict(model.imageEmbedding.stateDict());
    for (const [i, block] of to.blocks.entries()) block.loadStateDict(model.blocks[i]!.stateDict());
    to.norm.loadStateDict(model.norm.stateDict());
    to.head.loadStateDict(model.head.stateDict());
    const [own, theirs] = [to.tokens, model.tokens];
    if (sameCondition) {
      const rows = Math.min(to.conditionEmbedding.weight.shape[0]!, model.conditionEmbedding.weight.shape[0]!);
      copyRows(to.conditionEmbedding.weight, model.conditionEmbedding.weight, 0, 0, rows);
    }
    if (own.imageTokens !== theirs.imageTokens) return;
    const first = sameCondition && own.conditionTokens === theirs.conditionTokens ? 0 : undefined;
    const [at, from] = [first ?? own.conditionTokens, first ?? theirs.conditionTokens];
    copyRows(to.positions, model.positions, at, from, to.positions.shape[0]! - at);
  });
}

function copyRows(to: Tensor, from: Tensor, at: number, begin: number, count: number): void {
  ops.aten.narrow(to.detach(), 0, at, count).copy_(ops.aten.narrow(from.detach(), 0, begin, count));
}
