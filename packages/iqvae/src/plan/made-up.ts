import { ops, type Tensor, unscoped } from "@iqvae/torch";
import { conditionFor, conditionLength } from "../conditions/index.ts";
import type { Config } from "../config/index.ts";
import { conditionSpec, type PairDataset, type PairSplit } from "../data/index.ts";
import { AttributesNetwork, attributesFeatures } from "../features/attributes.ts";
import { HED_SHAPES, hed } from "../features/hed.ts";
import type { LossNetwork } from "../features/loss-network.ts";
import type { FeatureNetwork } from "../features/network.ts";
import { VGG16_SHAPES, vgg16 } from "../features/vgg.ts";
import { IqVae } from "../models/iqvae.ts";
import { perceptualLoss } from "../stage1/perceptual.ts";
import { Stage1Trainer } from "../stage1/trainer.ts";
import { TokenPairs } from "../stage2/token-pairs.ts";
import { Stage2Trainer } from "../stage2/trainer.ts";
import type { Peers } from "../support/peers.ts";
import type { Trainer } from "../support/trainer.ts";

/** Bytes of a batch at most, which are made whatever the device is: far more than a GPU can train with at once. */
const MOST_BYTES = 2 ** 30;

/** A trainer that is given the right shapes and no data: a step of it costs what a real one does. */
export interface Trial {
  readonly trainer: Trainer;
  /** Releases all tensors. */
  dispose(): void;
}

/**
 * Stage 1. Its discriminator joins at the first step, and at the second k-means places the codes. The encoders learn in all steps, also where
 * `polishFrom` would let them rest: those at the end are quicker, and of steps of two kinds the quickest would say too little.
 */
export function stage1Trial(config: Config, peers?: Peers): Trial {
  const { stage1, precision, data } = config;
  expectBatch("stage1.batch", stage1.batch, data.size ** 2 * 3 + conditionLength(conditionSpec(data), data.size));
  const { perceptual, adversarial } = stage1;
  const look = perceptual === null ? null : madeUpNetwork(perceptual.network.kind);
  const trainer = new Stage1Trainer({
    config: {
      ...stage1,
      steps: 8,
      warmup: 0,
      polishFrom: 1,
      adversarial: adversarial && { ...adversarial, startShare: 0 },
    },
    precision,
    dataset: madeUpDataset(config),
    distance: look === null ? undefined : perceptualLoss(look.network),
    peers,
  });
  return trialOf(trainer, look?.weights);
}

/** Stage 2 on sequences of one token. */
export function stage2Trial(config: Config, peers?: Peers): Trial {
  const { stage2, precision, stage1, data } = config;
  const count = stage2.batch * stage2.accumulate;
  const model = new IqVae(stage1.model, conditionFor(conditionSpec(data), data.size));
  const shape = model.tokenShape(data.size);
  expectBatch("stage2.batch × stage2.accumulate", count, 2 * (shape.conditionTokens + shape.imageTokens));
  const { codebook } = model.image.quantizer;
  for (const tensor of model.stateDict().values()) if (tensor !== codebook) tensor.dispose();
  const tokens = (each: number) => new Uint16Array(count * each);
  const pairs = new TokenPairs(shape, tokens(shape.conditionTokens), tokens(shape.imageTokens));
  const trainer = new Stage2Trainer({ config: stage2, precision, train: pairs, validation: pairs, codebook, peers });
  codebook.dispose();
  return trialOf(trainer);
}

function expectBatch(key: string, rows: number, bytes: number): void {
  const most = Math.floor(MOST_BYTES / bytes);
  if (rows > most)
    throw new RangeError(`${key} is ${rows}, but at most ${most} rows of ${bytes} bytes can be planned.`);
}

function trialOf(trainer: Trainer, weights: readonly Tensor[] = []): Trial {
  const tensors = [...trainer.tensors().values(), ...weights];
  return {
    trainer,
    dispose: () => {
      for (const tensor of tensors) tensor.dispose();
    },
  };
}

/** Gray pictures, and conditions of zeros, which have a meaning in every kind. */
function madeUpDataset({ data }: Config): PairDataset {
  const { name, size } = data;
  const condition = conditionSpec(data);
  const split: PairSplit = {
    length: Number.MAX_SAFE_INTEGER,
    ids: [],
    batch: ({ length: B }) => ({
      images: new Uint8Array(B * size ** 2 * 3).fill(128),
      conditions: new Uint8Array(B * conditionLength(condition, size)),
    }),
  };
  return { name, key: "", size, condition, train: split, validation: split, licenses: [], close: () => {} };
}

/** A network of the perceptual term with weights that mean nothing. */
function madeUpNetwork(kind: LossNetwork["kind"]): { network: FeatureNetwork; weights: Tensor[] } {
  const digest = "0".repeat(64);
  if (kind === "attributes") {
    const made = new AttributesNetwork([], 2);
    return { network: attributesFeatures(made, kind, digest), weights: [...made.stateDict().values()] };
  }
  const shapes = kind === "hed-vgg16" ? HED_SHAPES : VGG16_SHAPES;
  const tensors = unscoped(() => new Map([...shapes].map(([name, shape]) => [name, randomWeight(shape)])));
  const weights = { tensors, metadata: {}, digest };
  return { network: kind === "hed-vgg16" ? hed(weights) : vgg16(weights), weights: [...tensors.values()] };
}

function randomWeight(shape: readonly number[]): Tensor {
  const bound = Math.sqrt(6 / shape.slice(1).reduce((product, side) => product * side, 1));
  return ops.aten.empty(shape, shape.length === 4 ? { memory_format: "channels_last" } : {}).uniform_(-bound, bound);
}
