import { AdamW, autocast, clipScale, Ema, noGrad, ops, scope, type Tensor, warmupCosine } from "@iqvae/torch";
import type { Transformer } from "../models/transformer.ts";
import { RunningMeans } from "../support/running-means.ts";
import { below, prefixed } from "../support/tensor-names.ts";
import type { StepMetrics, Trainer } from "../support/trainer.ts";
import { type Exposure, exposedLogits } from "./exposure.ts";
import type { TokenPairs } from "./token-pairs.ts";

/** How the transformer is trained. */
export interface Stage2Config {
  /** The number of steps that the schedules are laid out for. */
  readonly steps: number;
  /** Rows that go through the network at once; a larger batch is taken in several parts whose gradients add up. */
  readonly microBatch: number;
  readonly learningRate: number;
  /** Where the cosine ends. */
  readonly finalLearningRate: number;
  readonly warmupSteps: number;
  /** Decoupled decay of matrices; biases and gains are left alone. */
  readonly weightDecay: number;
  /** The largest norm of all gradients together. */
  readonly clipNorm: number;
  /** Decay of the averaged weights, which are evaluated and sampled from. */
  readonly emaDecay: number;
  /** `bfloat16`: matrix products under autocast; weights and sums stay in float32. */
  readonly precision: "float32" | "bfloat16";
  readonly exposure: Exposure;
  /**
   * Share of the sequences that are learnt without their condition, for classifier-free guidance (Ho & Salimans 2022). Above
   * 0 it needs a model made with `unconditional`. Default 0.
   */
  readonly conditionDropout?: number;
}

/** Adam's, as GPT-2's reproductions use them. */
const BETAS = [0.9, 0.95] as const;

/** Reading a number back makes a GPU wait; on one, metrics are means over this many steps. */
const STEPS_A_READING = 10;

/** Trains a {@link Transformer} on token pairs: cross-entropy of the image tokens. */
export class Stage2Trainer implements Trainer {
  readonly model: Transformer;
  readonly config: Stage2Config;
  readonly #train: TokenPairs;
  readonly #validation: TokenPairs;
  readonly #parameters: Map<string, Tensor>;
  readonly #optimizer: AdamW;
  readonly #ema: Ema;
  readonly #device: string;
  readonly #metrics: RunningMeans;
  #step = 0;

  /** @throws RangeError when the tokens were made for a model of another shape. */
  constructor(options: { model: Transformer; train: TokenPairs; validation: TokenPairs; config: Stage2Config }) {
    const { model, train, validation, config } = options;
    for (const [name, split] of Object.entries({ train, validation })) checkShape(name, model, split);
    if ((config.conditionDropout ?? 0) > 0 && model.absent === undefined)
      throw new RangeError(
        `Stage2Trainer: conditionDropout ${config.conditionDropout} needs a transformer made with unconditional: true`,
      );
    this.model = model;
    this.config = config;
    this.#train = train;
    this.#validation = validation;
    this.#parameters = model.namedParameters();
    this.#optimizer = new AdamW(this.#parameters, { betas: BETAS, weightDecay: config.weightDecay });
    this.#ema = new Ema(this.#parameters);
    this.#device = model.positions.device;
    this.#metrics = new RunningMeans(this.#device === "cpu" ? 1 : STEPS_A_READING);
  }

  /** The averaged weights, by parameter name. */
  get averages(): Map<string, Tensor> {
    return this.#ema.tensors();
  }

  step(indices: Uint32Array): StepMetrics {
    return scope(() => {
      const { config } = this;
      const learningRate = warmupCosine({
        step: this.#step,
        total: config.steps,
        warmup: config.warmupSteps,
        peak: config.learningRate,
        floor: config.finalLearningRate,
      });
      this.#optimizer.zeroGrad();
      const losses = this.#accumulate(indices);
      const { scale, norm } = clipScale(this.#parameters.values(), config.clipNorm);
      this.#optimizer.step(learningRate, scale);
      this.#step += 1;
      // Early on the weights change fast, and an average over many steps would lag behind.
      this.#ema.update(Math.min(config.emaDecay, (1 + this.#step) / (10 + this.#step)));
      return { ...this.#metrics.add({ ...losses, gradientNorm: norm }), learningRate };
    });
  }

  /** Adds up the gradients of all parts of the batch; every part weighs as much as it has rows. */
  #accumulate(indices: Uint32Array): { loss: Tensor } {
    let total: Tensor | undefined;
    for (let start = 0; start < indices.length; start += this.config.microBatch) {
      const rows = indices.subarray(start, start + this.config.microBatch);
      const loss = scope(() => {
        const { conditions, images } = this.#train.batch(rows, this.#device);
        const loss = scope(() => this.#loss(this.#dropConditions(conditions), images));
        const part = loss.mul(rows.length / indices.length);
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
    const { conditionDropout = 0 } = this.config;
    if (absent === undefined || conditionDropout === 0) return conditions;
    const dropped = ops.aten.rand([conditions.shape[0]!, 1], { device: this.#device }).lt(conditionDropout);
    return conditions.masked_fill(dropped, absent);
  }

  #loss(conditions: Tensor, images: Tensor): Tensor {
    const logits = exposedLogits(this.config.exposure, {
      model: this.model,
      conditions,
      inputs: images.slice(1, 0, images.shape[1]! - 1),
      step: this.#step,
      steps: this.config.steps,
      precisely: (body) => this.#precisely(body),
    });
    return crossEntropy(logits, images);
  }

  #precisely<T>(body: () => T): T {
    if (this.config.precision === "float32") return body();
    return autocast({ dtype: this.config.precision, device: this.#device.split(":")[0]! }, body);
  }

  /**
   * The averaged weights on the validation split: `loss` and `nll`, the mean negative log-likelihood of an image token in
   * nats, and `bits`, the same in bits.
   */
  evaluate(): Record<string, number> {
    const nll = scope(() => this.#ema.swappedIn(() => noGrad(() => this.#validationLoss())));
    return { loss: nll, nll, bits: nll / Math.LN2 };
  }

  #validationLoss(): number {
    const { count } = this.#validation;
    let sum = 0;
    for (let start = 0; start < count; start += this.config.microBatch) {
      const size = Math.min(this.config.microBatch, count - start);
      const rows = Array.from({ length: size }, (_, i) => start + i);
      sum += size * scope(() => this.#rowLoss(rows));
    }
    return sum / count;
  }

  #rowLoss(rows: readonly number[]): number {
    const { conditions, images } = this.#validation.batch(rows, this.#device);
    const inputs = images.slice(1, 0, images.shape[1]! - 1);
    return this.#precisely(() => crossEntropy(this.model.forward(conditions, inputs), images)).item();
  }

  tensors(): Map<string, Tensor> {
    return new Map([
      ...prefixed("model.", this.#parameters),
      ...prefixed("ema.", this.#ema.tensors()),
      ...prefixed("optimizer.", this.#optimizer.tensors()),
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
    this.#ema.restore(below("ema.", tensors));
    this.#optimizer.restore(below("optimizer.", tensors), step);
    this.#step = step;
  }
}

/** Mean over all predictions, in float32: logits `[B, n, K]`, targets int64 `[B, n]`. */
function crossEntropy(logits: Tensor, targets: Tensor): Tensor {
  return ops.aten.cross_entropy_loss(logits.flatten(0, 1).to("float32"), targets.flatten());
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
