import { existsSync } from "node:fs";
import { inferenceMode, noGrad, scope, type Tensor, tensor } from "@iqvae/torch";
import { imageSurprise, type Transformer } from "../models/transformer.ts";
import { readTokenFile } from "../stage2/tokens.ts";
import { below } from "../support/tensor-names.ts";

/** Held-out images that are looked at, and how many at a time. */
const MOST = 256;
const BATCH = 16;

/** What rounding the weights of a transformer costs, in nats a token of held-out images under teacher forcing. */
export interface RoundingCost {
  readonly asTrained: number;
  readonly asStored: number;
  /** Images that both are means of. */
  readonly images: number;
}

/**
 * Measures {@link RoundingCost}. The weights as stored stay in the model.
 *
 * @param tokens the file of a run with its data as tokens
 * @param stored weights by the names of `model.safetensors`, as float32
 * @returns undefined where there is no such file: copies of runs may go without
 */
export function roundingCost(
  transformer: Transformer,
  tokens: string,
  stored: ReadonlyMap<string, Tensor>,
): RoundingCost | undefined {
  if (!existsSync(tokens)) return undefined;
  return scope(() => {
    const pairs = heldOutTokens(transformer, tokens);
    const asTrained = meanSurprise(transformer, pairs);
    const own = transformer.stateDict();
    noGrad(() => {
      for (const [name, values] of below("transformer.", stored)) own.get(name)!.copy_(values);
    });
    return { asTrained, asStored: meanSurprise(transformer, pairs), images: pairs.conditions.shape[0]! };
  });
}

interface Tokens {
  readonly conditions: Tensor;
  readonly images: Tensor;
}

/** Tokens of up to {@link MOST} held-out pairs, int64 `[N, …]`, evenly spread. */
function heldOutTokens({ tokens: { conditionTokens, imageTokens } }: Transformer, path: string): Tokens {
  const file = readTokenFile(path);
  const table = (tokens: Int32Array, length: number) => tensor(tokens).reshape([-1, length]).to("int64");
  const conditions = table(file["validation.conditions"], conditionTokens);
  const images = table(file["validation.images"], imageTokens);
  const all = conditions.shape[0]!;
  const count = Math.min(MOST, all);
  const rows = tensor(BigInt64Array.from({ length: count }, (_, i) => BigInt(Math.floor((i * all) / count))));
  return { conditions: conditions.index_select(0, rows), images: images.index_select(0, rows) };
}

function meanSurprise(transformer: Transformer, { conditions, images }: Tokens): number {
  const count = conditions.shape[0]!;
  let sum = 0;
  for (let first = 0; first < count; first += BATCH) {
    const rows = (all: Tensor) => all.slice(0, first, Math.min(first + BATCH, count));
    sum += scope(() => inferenceMode(() => imageSurprise(transformer, rows(conditions), rows(images)).sum().item()));
  }
  return sum / (count * images.shape[1]!);
}
