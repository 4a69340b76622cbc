import { autocast, inferenceMode, ops, scope, type Tensor, tensor } from "@iqvae/torch";
import type { Transformer } from "../models/transformer.ts";
import { Decoder, type SamplingPrecision } from "./decoder.ts";
import { drawTokens, GumbelStream } from "./draw.ts";
import { type Batch, planBatches, type SampleOptions, type TokenSampler } from "./plan.ts";

/**
 * Samples with a cache of keys and values.
 *
 * @param options.precision what weights and cache are kept in. `float32` (default) draws the tokens of {@link uncachedSampler};
 *   `bfloat16` reads half as much for every token, which is most of the time, and rounds the weights.
 */
export function cachedSampler(model: Transformer, options: { precision?: SamplingPrecision } = {}): TokenSampler {
  const start = (): NextLogits => {
    const decoder = new Decoder(model, options.precision ?? "float32");
    return (conditions, of) => {
      const decoding = decoder.start(conditions, of);
      return (t, last) => (last === undefined ? decoding.logits : decoder.next(decoding, last, t - 1));
    };
  };
  return samplerOf(model, start);
}

/** Runs the whole sequence anew for every token, as taming-transformers does: the yardstick of {@link cachedSampler}. */
export function uncachedSampler(model: Transformer): TokenSampler {
  return samplerOf(model, () => (conditions, of) => {
    const own = conditions.index_select(0, of);
    return (t, _, before) => model.forward(own, before).select(1, t).to("float32");
  });
}

/**
 * A way to predict: given the conditions `[N, conditionTokens]` and each sequence's place among them, a function from the
 * number `t` of the next token, the token before it and all tokens `[B, t]` before it to its logits, float32 `[B, K]`.
 */
type NextLogits = (conditions: Tensor, of: Tensor) => (t: number, last: Tensor | undefined, before: Tensor) => Tensor;

/** Everything but the prediction is the same code for all samplers: equal logits draw equal tokens. */
function samplerOf(model: Transformer, prepare: () => NextLogits): TokenSampler {
  return {
    sample: (conditions, options = {}) =>
      inPlainMode(conditions.device, () =>
        scope(() => {
          const batches = planBatches(model, conditions, options);
          const predict = prepare();
          const drawn = batches.map((batch, i) =>
            scope(() =>
              drawBatch(model, predict, conditions, batch, options, (share) =>
                options.onProgress?.((i + share) / batches.length),
              ),
            ),
          );
          return ops.aten.cat(drawn).view([conditions.shape[0]!, options.samples ?? 1, model.tokens.imageTokens]);
        }),
      ),
  };
}

/** Without gradients, and without an autocast around it: the sampler's own precision says what is computed how. */
function inPlainMode<T>(device: string, body: () => T): T {
  return inferenceMode(() => autocast({ enabled: false, device: device.split(":")[0]! }, body));
}

function drawBatch(
  model: Transformer,
  prepare: NextLogits,
  conditions: Tensor,
  batch: Batch,
  options: SampleOptions,
  onProgress: (share: number) => void,
): Tensor {
  const { imageTokens, imageCodes } = model.tokens;
  const device = conditions.device;
  const chosen = conditions.index_select(0, integers(batch.conditions, device));
  const predict = prepare(chosen, integers(batch.of, device));
  const noise = new GumbelStream(batch.seeds, imageCodes, device);
  const tokens = ops.aten.zeros([batch.seeds.length, imageTokens], { dtype: "int64", device });
  let last: Tensor | undefined;
  for (let t = 0; t < imageTokens; t++) {
    scope(() => {
      const logits = predict(t, last, tokens.slice(1, 0, t));
      tokens.select(1, t).copy_(drawTokens(logits, noise.next(), options));
    });
    last = tokens.select(1, t);
    onProgress((t + 1) / imageTokens);
  }
  noise.dispose();
  return tokens;
}

function integers(values: readonly number[], device: string): Tensor {
  return tensor(Int32Array.from(values), { device }).to("int64");
}
