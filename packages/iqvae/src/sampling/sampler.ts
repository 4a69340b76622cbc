import { type Answer, type Question, sampleTokens } from "@iqvae/runtime";
import { ops, scope, type Tensor } from "@iqvae/torch";
import type { Transformer } from "../models/transformer.ts";
import { sequencesAtOnce } from "../support/at-once.ts";
import { inPlainMode } from "../support/precision.ts";
import { CachedTransformer, type SamplingPrecision } from "./decoder.ts";
import type { SequenceShape, TokenSampler } from "./options.ts";
import type { Recorder } from "./recording.ts";
import { integers, plainOptions, readConditions } from "./tokens.ts";

/** Predicts the tokens of a batch of sequences, one after the other. */
export interface Predictor {
  /** From the number `t` of the next token, the token before it and all tokens `[S, t]` before it to its logits, float32 `[S, K]`. */
  logits(t: number, last: Tensor | undefined, before: Tensor): Tensor;
  /** Called when the batch is done, if there is anything to let go of. */
  end?(): void;
}

/** A way to predict, given the conditions `[N, conditionTokens]` and each sequence's place among them, int64 `[S]`. */
export type Prepare = (conditions: Tensor, of: Tensor) => Predictor;

/**
 * Samples with a cache of keys and values.
 *
 * @param options.precision what weights and cache are kept in. `float32` (default) draws the tokens of {@link uncachedSampler};
 *   `bfloat16` reads half as much for every token, which is most of the time, and rounds the weights.
 * @param options.recorder as {@link CachedTransformer} takes it: `null` for operators that are called for each token on a GPU, too
 */
export function cachedSampler(
  model: Transformer,
  { precision = "float32", recorder }: { precision?: SamplingPrecision; recorder?: Recorder | null | undefined } = {},
): TokenSampler {
  return samplerOf(model, model.tokens, () => {
    const decoder = new CachedTransformer(model, precision, recorder === undefined ? {} : { recorder });
    return (conditions, of) => {
      const decoding = decoder.start(conditions, of);
      return {
        logits: (t, last) => (last === undefined ? decoding.logits : decoder.next(decoding, last, t - 1)),
        end: () => decoder.end(decoding),
      };
    };
  });
}

/** Runs the whole sequence anew for every token, as taming-transformers does: the yardstick of {@link cachedSampler}. */
export function uncachedSampler(model: Transformer): TokenSampler {
  return samplerOf(model, model.tokens, () => (conditions, of) => {
    const own = conditions.index_select(0, of);
    return { logits: (t, _, before) => model.forward(own, before).select(1, t).to("float32") };
  });
}

/**
 * A sampler predicts; what is drawn from its logits, guidance and all, is decided by {@link sampleTokens}, which the engines of
 * `@iqvae/runtime` share.
 *
 * @param shape tokens of a condition and of an image as they are sampled
 * @param begin called once for each `sample`, in a scope
 */
export function samplerOf(model: Transformer, shape: SequenceShape, begin: () => Prepare): TokenSampler {
  const { conditionCodes, imageCodes } = model.tokens;
  const { conditionTokens, imageTokens } = shape;
  const counts = { conditionCodes, imageCodes, conditionTokens, imageTokens, absent: model.absent };
  return {
    sample: (conditions, options = {}) =>
      inPlainMode(
        () =>
          scope(() => {
            const { device } = conditions;
            const rows = readConditions(conditions, shape);
            const { batch = sequencesAtOnce(device, cacheBytes(model, conditionTokens + imageTokens)) } = options;
            const drawing = sampleTokens(counts, rows, plainOptions({ ...options, batch }, shape, rows.length));
            let step = drawing.next();
            const prepare = begin();
            while (!step.done) {
              const first = step.value;
              step = scope(() => answerBatch(prepare, drawing, first, device));
            }
            const tokens = Int32Array.from(step.value.flatMap((image) => [...image]));
            return integers(tokens, device, [rows.length, options.samples ?? 1, imageTokens]);
          }),
        conditions.device,
      ),
  };
}

/** Keys and values of all layers of one sequence, in float32. */
function cacheBytes({ config: { layers, width } }: Transformer, tokens: number): number {
  return 2 * 4 * layers * width * tokens;
}

/** Answers all questions of a batch; gives the first of the next one, or the end. */
function answerBatch(
  prepare: Prepare,
  drawing: Generator<Question, Int32Array[], Answer>,
  first: Question,
  device: string,
): IteratorResult<Question, Int32Array[]> {
  const { conditions, of } = first.sequences;
  const predictor = prepare(ops.aten.stack(conditions.map((tokens) => integers(tokens, device))), integers(of, device));
  try {
    for (let question = first; ; ) {
      const { t, last, drawn } = question;
      const logits = scope(() => {
        const before = integers(drawn, device, [of.length, drawn.length / of.length]).slice(1, 0, t);
        return predictor
          .logits(t, t === 0 ? undefined : integers(last, device), before)
          .contiguous()
          .read("float32");
      });
      const step = drawing.next(logits);
      if (step.done || step.value.t === 0) return step;
      question = step.value;
    }
  } finally {
    predictor.end?.();
  }
}
