import {
  AdamW,
  clipGradNorm,
  decayMatrices,
  Ema,
  type GradientBuckets,
  noGrad,
  ops,
  scope,
  type Tensor,
  unscoped,
  warmupCosine,
} from "@iqvae/torch";
import { adoptTransformer, type Pretrained } from "../models/adopt.ts";
import { imageSurprise, Transformer, tokenCrossEntropy } from "../models/transformer.ts";
import type { Peers } from "../support/peers.ts";
import { inPrecision, type Precision } from "../support/precision.ts";
import { RunningMeans } from "../support/running-means.ts";
import { shareOut } from "../support/share.ts";
import { below, prefixed } from "../support/tensor-names.ts";
import type { StepMetrics, Trainer } from "../support/trainer.ts";
import { type Stage2Config, transformerConfig } from "./config.ts";
import { exposedLogits } from "./exposure.ts";
import { nearCodes } from "./exposure-controls.ts";
import type { TokenPairs } from "./token-pairs.ts";

/** What a stage-2 training is made from. */
export interface Stage2Options {
  readonly config: Stage2Config;
  /** `bfloat16`: matrix products under autocast; weights and sums stay in float32. */
  readonly precision: Precision;
  readonly train: TokenPairs;
  readonly validation: TokenPairs;
  /** The unit codes of the image's tokens, `[imageCodes, codeDim]`; the exposure `near` needs them. */
  readonly codebook?: Tensor | undefined;
  /** What the weights begin with, if not at random. */
  readonly pretrained?: Pretrained<Transformer> | undefined;
  /** With whom the batches are shared, if with anybody. */
  readonly peers?: Peers | undefined;
}

/** Adam's, as GPT-2's reproductions use them. */
const BETAS = [0.9, 0.95] as const;
/** The largest norm of all gradients together. */
const CLIP_NORM = 1;
/** Where the cosine ends, as a share of the peak rate. */
const FINAL_RATE = 1 / 20;

/** Trains a {@link Transformer} on token pairs: cross-entropy of the image tokens. */
export class Stage2Trainer implements Trainer {
  readonly model: Transformer;
  readonly config: Stage2Config;
  readonly #precision: Precision;
  readonly #train: TokenPairs;
  readonly #validation: TokenPairs;
  readonly #parameters: Map<string, Tensor>;
  readonly #optimizer: AdamW;
  readonly #ema: Ema;
  readonly #device: string;
  readonly #near: Tensor | undefined;
  readonly #metrics: RunningMeans;
  readonly #peers: Peers | undefined;
  readonly #gradients: GradientBuckets | undefined;
  #step = 0;

  /** Weights are drawn from the default random generator. @throws RangeError when the splits do not fit each other, or are empty */
  constructor({ config, precision, train, validation, codebook, pretrained, peers }: Stage2Options) {
    const model = new Transformer(transformerConfig(config), train.shape);
    if (pretrained !== undefined) adoptTransformer(model, pretrained);
    for (const [name, split] of Object.entries({ train, validation })) checkShape(name, model, split);
    this.model = model;
    this.config = config;
    this.#peers = peers;
    this.#precision = precision;
    this.#train = train;
    this.#validation = validation;
    this.#parameters = model.namedParameters();
    this.#gradients = peers?.gradientsOf(this.#parameters.values());
    this.#optimizer = new AdamW(decayMatrices(this.#parameters, config.weightDecay), { betas: BETAS });
    this.#ema = new Ema(this.#parameters);
    this.#device = model.positions.device;
    this.#near = nearFor(config.exposure, codebook);
    this.#metrics = new RunningMeans(this.#device);
  }

  /** Runs `body` with the averaged weights in {@link model}, and puts those that are trained back. */
  withAverages<T>(body: () => T): T {
    return this.#ema.swappedIn(body);
  }

  step(indices: Uint32Array): StepMetrics {
    return scope(() => {
      const { config } = this;
      const { steps, warmup, rate: peak } = config;
      const rate = warmupCosine({ step: this.#step, total: steps, warmup, peak, floor: peak * FINAL_RATE });
      this.#optimizer.zeroGrad();
      const losses = this.#reduce(this.#accumulate(this.#peers?.rowsOf(indices) ?? indices));
      const { scale, norm } = clipGradNorm(this.#parameters.values(), CLIP_NORM);
      this.#optimizer.lr = rate;
      this.#optimizer.step({ gradientScale: scale });
      this.#step += 1;
      // Early on the weights change fast, and an average over many steps would lag behind.
      this.#ema.update(Math.min(config.emaDecay, (1 + this.#step) / (10 + this.#step)));
      return { ...this.#metrics.add({ ...losses, gradientNorm: norm }), rate };
    });
  }

  /** With peers: the means over all of them of gradients and figures. Nothing of the trainer is changed before. */
  #reduce<K extends string>(figures: Record<K, Tensor>): Record<K, Tensor> {
    this.#gradients?.finish();
    return this.#peers?.reduce([], figures) ?? figures;
  }

  /** Adds up the gradients of all parts of the batch; every part weighs as much as it has rows. */
  #accumulate(indices: Uint32Array): { loss: Tensor } {
    let total: Tensor | undefined;
    for (let start = 0; start < indices.length; start += this.config.batch) {
      const rows = indices.subarray(start, start + this.config.batch);
      const loss = scope(() => {
        const { conditions, images } = this.#train.batch(rows, this.#device);
        const loss = scope(() => this.#loss(this.#dropConditions(conditions), images));
        const part = loss.mul(rows.length / indices.length);
        if (start + rows.length === indices.length) this.#gradients?.arm();
        part.backward();
        return part.detach();
      });
      total = total === undefined ? loss : total.add(loss);
    }
    if (total === undefined) throw new RangeError("Stage2Trainer.step got an empty batch");
    return { loss: total };
  }

  /** Puts the absent condition in place of some, each decided by itself. Without a share, no random number is drawn. */
  #dropConditions(conditions: Tensor): Tensor {
    const { absent } = this.model;
    const { conditionDropout } = this.config;
    if (absent === undefined || conditionDropout === 0) return conditions;
    const dropped = ops.aten.rand([conditions.shape[0]!, 1], { device: this.#device }).lt(conditionDropout);
    return conditions.masked_fill(dropped, absent);
  }

  #loss(conditions: Tensor, images: Tensor): Tensor {
    const logits = exposedLogits(this.config.exposure, {
      model: this.model,
      conditions,
      inputs: images.slice(1, 0, images.shape[1]! - 1),
      near: this.#near,
      step: this.#step,
      steps: this.config.steps,
      precisely: (body) => this.#precisely(body),
    });
    return tokenCrossEntropy(logits, images).mean();
  }

  #precisely<T>(body: () => T): T {
    return inPrecision({ precision: this.#precision, device: this.#device }, body);
  }

  /**
   * The averaged weights on the validation split: `loss` and `nll`, the mean negative log-likelihood of an image token in
   * nats, and `bits`, the same in bits.
   */
  evaluate(): Record<string, number> {
    const nll = scope(() => this.withAverages(() => noGrad(() => this.#validationLoss())));
    return { loss: nll, nll, bits: nll / Math.LN2 };
  }

  #validationLoss(): number {
    const { count } = this.#validation;
    const { batch } = this.config;
    const batches = Array.from({ length: Math.ceil(count / batch) }, (_, b) =>
      Array.from({ length: Math.min(batch, count - b * batch) }, (_, i) => b * batch + i),
    );
    const sums = shareOut(this.#peers, batches, (rows) => rows.length * scope(() => this.#rowLoss(rows)));
    return sums.reduce((sum, part) => sum + part, 0) / count;
  }

  #rowLoss(rows: readonly number[]): number {
    const { conditions, images } = this.#validation.batch(rows, this.#device);
    return this.#precisely(() => imageSurprise(this.model, conditions, images))
      .mean()
      .item();
  }

  tensors(): Map<string, Tensor> {
    return new Map([
      ...prefixed("model.", this.#parameters),
      ...prefixed("ema.", this.#ema.stateDict()),
      ...prefixed("optimizer.", this.#optimizer.stateDict()),
    ]);
  }

  state(): Record<string, unknown> {
    return { step: this.#step };
  }

  restore(tensors: ReadonlyMap<string, Tensor>, state: Record<string, unknown>): void {
    const { step } = state;
    if (typeof step !== "number" || !Number.isInteger(step) || step < 0)
      throw new TypeError(`Stage2Trainer.restore needs a state with a whole 'step', but got ${JSON.stringify(state)}`);
    this.model.loadStateDict(below("model.", tensors));
    this.#ema.loadStateDict(below("ema.", tensors));
    this.#optimizer.loadStateDict(below("optimizer.", tensors));
    this.#step = step;
  }
}

function nearFor(exposure: Stage2Config["exposure"], codebook: Tensor | undefined): Tensor | undefined {
  if (exposure.kind !== "near") return undefined;
  if (codebook === undefined)
    throw new Error("Stage2Trainer: the exposure 'near' replaces tokens by near codes, but no codebook was given.");
  return unscoped(() => scope(() => nearCodes(codebook, exposure.temperature)));
}

function checkShape(split: string, model: Transformer, pairs: TokenPairs): void {
  for (const [name, wanted] of Object.entries(model.tokens)) {
    const given = pairs.shape[name as keyof typeof pairs.shape];
    if (given !== wanted)
      throw new RangeError(
        `Stage2Trainer: the ${split} tokens have ${name} ${given}, but the transformer is made for ${wanted}; encode the data with the stage-1 model of this run`,
      );
  }
  if (pairs.count === 0) throw new RangeError(`Stage2Trainer: the ${split} split is empty`);
}
