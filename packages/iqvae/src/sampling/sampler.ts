import { ops, scope, type Tensor } from "@iqvae/torch";
import type { Transformer } from "../models/transformer.ts";
import { inPlainMode } from "../support/precision.ts";
import { branchesOf, integers, type NextLogits, type Prepare, predictBranches } from "./branches.ts";
import { CachedTransformer, type SamplingPrecision } from "./decoder.ts";
import { drawTokens, GumbelBetween, type GumbelNoise, GumbelStream } from "./draw.ts";
import { type Batch, batchesOf, type SequenceShape, type TokenSampleOptions, type TokenSampler } from "./options.ts";

/**
 * Samples with a cache of keys and values.
 *
 * @param options.precision what weights and cache are kept in. `float32` (default) draws the tokens of {@link uncachedSampler};
 *   `bfloat16` reads half as much for every token, which is most of the time, and rounds the weights.
 */
export function cachedSampler(model: Transformer, options: { precision?: SamplingPrecision } = {}): TokenSampler {
  return samplerOf(model, model.tokens, () => {
    const decoder = new CachedTransformer(model, options.precision ?? "float32");
    return (conditions, of) => {
      const decoding = decoder.start(conditions, of);
      return (t, last) => (last === undefined ? decoding.logits : decoder.next(decoding, last, t - 1));
    };
  });
}

/** Runs the whole sequence anew for every token, as taming-transformers does: the yardstick of {@link cachedSampler}. */
export function uncachedSampler(model: Transformer): TokenSampler {
  return samplerOf(model, model.tokens, () => (conditions, of) => {
    const own = conditions.index_select(0, of);
    return (t, _, before) => model.forward(own, before).select(1, t).to("float32");
  });
}

/**
 * Everything but the prediction is the same code for all samplers: equal logits draw equal tokens.
 *
 * @param shape tokens of a condition and of an image as they are sampled
 * @param begin called once for each `sample`, in a scope
 */
export function samplerOf(model: Transformer, shape: SequenceShape, begin: () => Prepare): TokenSampler {
  return {
    sample: (conditions, options = {}) =>
      inPlainMode(
        () =>
          scope(() => {
            const batches = batchesOf(model, shape, conditions, options);
            const branches = branchesOf(model, conditions, options);
            const prepare = begin();
            const drawn = batches.map((batch, i) =>
              scope(() => {
                const predict = predictBranches(prepare, branches, batch);
                const { imageCodes } = model.tokens;
                return drawBatch(predict, batch, [shape.imageTokens, imageCodes], options, conditions.device, (share) =>
                  options.onProgress?.((i + share) / batches.length),
                );
              }),
            );
            return ops.aten.cat(drawn).view([conditions.shape[0]!, options.samples ?? 1, shape.imageTokens]);
          }),
        conditions.device,
      ),
  };
}

function drawBatch(
  predict: NextLogits,
  batch: Batch,
  [imageTokens, imageCodes]: [number, number],
  options: TokenSampleOptions,
  device: string,
  onProgress: (share: number) => void,
): Tensor {
  const given = options.fixed?.index_select(
    0,
    integers(
      batch.of.map((place) => batch.conditions[place]!),
      device,
    ),
  );
  using noise = noiseOf(batch, imageCodes, device, options);
  const tokens = ops.aten.zeros([batch.seeds.length, imageTokens], { dtype: "int64", device });
  let last: Tensor | undefined;
  for (let t = 0; t < imageTokens; t++) {
    scope(() => {
      // Noise is drawn for given tokens too: those that are free then have the same, whatever is given.
      const drawn = drawTokens(predict(t, last, tokens.slice(1, 0, t)), noise.next(), options);
      const fixed = given?.select(1, t);
      tokens.select(1, t).copy_(fixed === undefined ? drawn : ops.aten.where(fixed.ge(0), fixed, drawn));
    });
    last = tokens.select(1, t);
    onProgress((t + 1) / imageTokens);
  }
  return tokens;
}

function noiseOf(batch: Batch, codes: number, device: string, { noise }: TokenSampleOptions): GumbelNoise {
  const from = new GumbelStream(batch.seeds, codes, device);
  if (noise?.kind !== "between") return from;
  return new GumbelBetween(from, new GumbelStream(batch.seedsTo, codes, device), noise.share);
}
