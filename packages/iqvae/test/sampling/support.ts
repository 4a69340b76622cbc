import { manualSeed, noGrad, ops, scope, type Tensor } from "@iqvae/torch";
import { Transformer, type TransformerConfig } from "../../src/models/transformer.ts";
import type { TokenSampleOptions, TokenSampler } from "../../src/sampling/options.ts";

export const SHAPE = { conditionCodes: 16, imageCodes: 24, conditionTokens: 9, imageTokens: 16 };

/** A model whose predictions differ much from position to position, as a trained one's do. */
export function sharpModel(seed: number, shape = SHAPE, config: Partial<TransformerConfig> = {}): Transformer {
  manualSeed(seed);
  const model = new Transformer({ layers: 3, width: 48, heads: 4, dropout: 0, ...config }, shape);
  noGrad(() => {
    for (const weight of model.namedParameters().values())
      if (weight.ndim === 2) weight.mul_(8);
      else weight.add_(ops.aten.randn_like(weight).mul(0.3)); // no two norms alike, no bias 0
  });
  return model;
}

/** The tokens that a sampler draws, one after the other. */
export function drawn(sampler: TokenSampler, conditions: Tensor, options: TokenSampleOptions = {}): number[] {
  return scope(() => Array.from(sampler.sample(conditions, options).read("int64"), Number));
}
