import { createHash } from "node:crypto";
import {
  getDefaultDevice,
  inferenceMode,
  readSafetensors,
  SafetensorsError,
  scope,
  type Tensor,
  tensor,
  writeSafetensors,
} from "@iqvae/torch";
import { batchTensors, type PairDataset, type PairSplit } from "../data/index.ts";
import type { IqVae } from "../models/iqvae.ts";
import { imagesAtOnce } from "../support/at-once.ts";
import type { Peers } from "../support/peers.ts";
import { inPrecision, type Precision } from "../support/precision.ts";
import { type TokenArray, TokenPairs, tokenArray } from "./token-pairs.ts";

/** Pairs encoded on a CPU between two looks at Ctrl-C: more would make large models deaf, and be hardly faster. */
const BATCH = 16;
const SPLITS = ["train", "validation"] as const;

/** Both splits of a data set as tokens. */
export type TokenSplits = Readonly<Record<(typeof SPLITS)[number], TokenPairs>>;

/** What {@link tokensOf} encodes, and where it keeps the tokens. */
export interface TokenEncoding {
  readonly precision: Precision;
  readonly model: IqVae;
  readonly dataset: PairDataset;
  /** Where the tokens are kept. */
  readonly path: string;
  /** What weights and data are known by, so that tokens of others are not taken for theirs. */
  readonly source: string;
  readonly onProgress: (done: number, total: number) => void;
  /** With several processes each encodes a part, and the first keeps the file. */
  readonly peers?: Peers | undefined;
}

/** The data set as tokens of a trained stage 1: encoded once, then read from the run folder. */
export async function tokensOf(encoding: TokenEncoding): Promise<TokenSplits> {
  const { path, source, peers } = encoding;
  if (peers !== undefined) return await tokensOfAll(encoding, peers);
  return readTokens(encoding) ?? writeTokens(await encode(encoding), path, source);
}

async function tokensOfAll(encoding: TokenEncoding, peers: Peers): Promise<TokenSplits> {
  const { model, dataset, path, source } = encoding;
  const known = peers.isFirst ? readTokens(encoding) : undefined;
  const isKnown = peers.any(known !== undefined);
  const own = known ?? (isKnown ? nothingOf(model, dataset) : await peers.untilStopped(() => encode(encoding)));
  // What others have is zero here.
  const summed = (tokens: TokenArray) =>
    scope(() => {
      const all = tensor(Int32Array.from(tokens), { device: "cpu" });
      peers.sum([all]);
      return all.read("int32");
    });
  const whole = ({ shape, conditions, images }: TokenPairs) =>
    new TokenPairs(shape, summed(conditions), summed(images));
  const tokens = { train: whole(own.train), validation: whole(own.validation) };
  if (!isKnown)
    await peers.onFirst(() => {
      writeTokens(tokens, path, source);
    });
  return tokens;
}

function nothingOf(model: IqVae, dataset: PairDataset): TokenSplits {
  const shape = model.tokenShape(dataset.size);
  const zeros = ({ length }: PairSplit) => {
    const conditions = tokenArray(length * shape.conditionTokens, shape.conditionCodes);
    return new TokenPairs(shape, conditions, tokenArray(length * shape.imageTokens, shape.imageCodes));
  };
  return { train: zeros(dataset.train), validation: zeros(dataset.validation) };
}

/** Undefined where there are none, or those of another model, or a damaged file: they can be encoded anew. */
function readTokens({ model, dataset, path, source }: TokenEncoding): TokenSplits | undefined {
  try {
    return scope(() => {
      const file = readTokenFile(path);
      if (file.source !== source) return undefined;
      const shape = model.tokenShape(dataset.size);
      const pairs = (split: Split) => new TokenPairs(shape, file[`${split}.conditions`], file[`${split}.images`]);
      const tokens = { train: pairs("train"), validation: pairs("validation") };
      // Earlier versions encoded all held-out pairs, the reported ones among them.
      return SPLITS.every((split) => tokens[split].count === dataset[split].length) ? tokens : undefined;
    });
  } catch (error) {
    if (error instanceof SafetensorsError || error instanceof RangeError) return undefined;
    throw error;
  }
}

function writeTokens(tokens: TokenSplits, path: string, source: string): TokenSplits {
  scope(() => {
    const arrays = SPLITS.flatMap((split) => [tokens[split].conditions, tokens[split].images].map(int32));
    const tensors = NAMES.map((name, i): [string, Tensor] => [name, tensor(arrays[i]!, { device: "cpu" })]);
    writeSafetensors(path, new Map(tensors), { source, sha256: digestOf(arrays) });
  });
  return tokens;
}

const int32 = (tokens: TokenArray): Int32Array => Int32Array.from(tokens);

type Split = (typeof SPLITS)[number];
type Name = `${Split}.${"conditions" | "images"}`;
const NAMES = SPLITS.flatMap((split): Name[] => [`${split}.conditions`, `${split}.images`]);

/**
 * What a run's file of tokens holds, and what they were encoded from.
 *
 * @throws SafetensorsError when it was changed or damaged after it was written
 */
export function readTokenFile(path: string): Readonly<Record<Name, Int32Array>> & { readonly source?: string } {
  const { tensors, metadata } = readSafetensors(path, { device: "cpu" });
  const arrays = NAMES.map((name) => {
    const found = tensors.get(name);
    if (found?.dtype !== "int32") throw damaged(path);
    return found.read("int32");
  });
  // A token of another value would train other weights, and nobody would notice. Older files do not say.
  if (metadata.sha256 !== undefined && metadata.sha256 !== digestOf(arrays)) throw damaged(path);
  const content = Object.fromEntries(NAMES.map((name, i) => [name, arrays[i]!])) as Record<Name, Int32Array>;
  return { ...content, ...(metadata.source !== undefined && { source: metadata.source }) };
}

function damaged(path: string): SafetensorsError {
  return new SafetensorsError(
    path,
    "its tokens are not those that were written. Delete it: a training encodes the data anew, and an export goes without",
  );
}

function digestOf(arrays: readonly Int32Array[]): string {
  const hash = createHash("sha256");
  for (const array of arrays) hash.update(array);
  return hash.digest("hex");
}

/** With peers: this rank's batches, in their places; the others' are zero. */
async function encode({ precision, model, dataset, onProgress, peers }: TokenEncoding): Promise<TokenSplits> {
  const { rank, size } = peers ?? { rank: 0, size: 1 };
  const total = dataset.train.length + dataset.validation.length;
  const shape = model.tokenShape(dataset.size);
  const batch = imagesAtOnce(getDefaultDevice(), dataset.size, BATCH);
  let done = 0;
  const encodeSplit = async (split: PairSplit) => {
    const conditions = tokenArray(split.length * shape.conditionTokens, shape.conditionCodes);
    const images = tokenArray(split.length * shape.imageTokens, shape.imageCodes);
    for (let first = rank * batch; first < split.length; first += size * batch) {
      const rows = Array.from({ length: Math.min(batch, split.length - first) }, (_, i) => first + i);
      scope(() =>
        inferenceMode(() =>
          inPrecision({ precision }, () => {
            const pairs = batchTensors(split.batch(rows), rows.length, dataset);
            conditions.set(numbers(model.encodeCondition(pairs.rasters)), first * shape.conditionTokens);
            images.set(numbers(model.encodeImage(pairs.images)), first * shape.imageTokens);
          }),
        ),
      );
      done = Math.min(total, done + size * rows.length);
      onProgress(done, total);
      await new Promise(setImmediate);
    }
    return new TokenPairs(shape, conditions, images);
  };
  return { train: await encodeSplit(dataset.train), validation: await encodeSplit(dataset.validation) };
}

function numbers(indices: Tensor): Int32Array {
  return indices.to("int32").read("int32");
}
