import { ops, type Tensor, tensor } from "@iqvae/torch";
import type { Transformer } from "../models/transformer.ts";
import type { Batch, TokenSampleOptions } from "./options.ts";

/** From the number `t` of the next token, the token before it and all tokens `[B, t]` before it to its logits, float32 `[B, K]`. */
export type NextLogits = (t: number, last: Tensor | undefined, before: Tensor) => Tensor;

/** A way to predict, given the conditions `[N, conditionTokens]` and each sequence's place among them, int64 `[B]`. */
export type Prepare = (conditions: Tensor, of: Tensor) => NextLogits;

/** One of the predictions whose weighted sum decides a token: conditions `[N, conditionTokens]`, or one row for all. */
interface Branch {
  readonly conditions: Tensor;
  readonly weight: number;
}

/**
 * The predictions that the options ask for. Guidance and blending are both sums of logits, with weights that sum to 1:
 * `u + s(c − u) = s·c + (1 − s)·u`, and `c` may itself be `(1 − b)·c₁ + b·c₂`. What has no weight is left out, so that
 * guidance 1 without a blend is plain sampling, to the bit.
 */
export function branchesOf(model: Transformer, conditions: Tensor, options: TokenSampleOptions): Branch[] {
  const { guidance = 1, blend } = options;
  const share = blend?.share ?? 0;
  const branches: Branch[] = [{ conditions, weight: guidance * (1 - share) }];
  if (blend !== undefined) branches.push({ conditions: blend.conditions, weight: guidance * share });
  if (model.absent !== undefined) {
    const absent = ops.aten.full([1, conditions.shape[1]!], model.absent, {
      dtype: "int64",
      device: conditions.device,
    });
    branches.push({ conditions: absent, weight: 1 - guidance });
  }
  return branches.filter(({ weight }) => weight !== 0);
}

/**
 * Predicts a batch in all branches at once, as one batch of `branches × B` sequences, and adds up their logits. All
 * branches of a sequence get the token that the sum decides.
 */
export function predictBranches(prepare: Prepare, branches: readonly Branch[], batch: Batch): NextLogits {
  const { device } = branches[0]!.conditions;
  const chosen: Tensor[] = [];
  const of: number[] = [];
  let before = 0;
  for (const { conditions } of branches) {
    const one = conditions.shape[0] === 1;
    chosen.push(one ? conditions : conditions.index_select(0, integers(batch.conditions, device)));
    of.push(...batch.of.map((place) => before + (one ? 0 : place)));
    before += one ? 1 : batch.conditions.length;
  }
  const predict = prepare(ops.aten.cat(chosen), integers(of, device));
  if (branches.length === 1 && branches[0]!.weight === 1) return predict;
  const M = branches.length;
  const weights = tensor(
    Float32Array.from(branches, ({ weight }) => weight),
    { shape: [M, 1, 1], device },
  );
  return (t, last, earlier) => {
    const logits = predict(t, last?.repeat([M]), earlier.repeat([M, 1])); // [M·B, K]
    return logits.view([M, -1, logits.shape[1]!]).mul(weights).sum([0]);
  };
}

export function integers(values: readonly number[], device: string): Tensor {
  return tensor(Int32Array.from(values), { device }).to("int64");
}
