import {
  AdamW,
  clipGradNorm,
  decayMatrices,
  type GradientBuckets,
  noGrad,
  ops,
  scope,
  type Tensor,
  warmupCosine,
} from "@iqvae/torch";
import { type Condition, conditionFor, meanFidelity } from "../conditions/index.ts";
import { batchTensors, type PairDataset, type PairSplit, spreadRows } from "../data/index.ts";
import { adoptIqVae, type Pretrained, rescaleCounts } from "../models/adopt.ts";
import { IqVae, type IqVaeMode, toUnitRange } from "../models/iqvae.ts";
import { countCodes, type Quantizer, usageOf } from "../models/quantizer.ts";
import type { Peers } from "../support/peers.ts";
import { inPrecision, type Precision } from "../support/precision.ts";
import { RunningMeans } from "../support/running-means.ts";
import { shareOut } from "../support/share.ts";
import { below, prefixed } from "../support/tensor-names.ts";
import type { StepMetrics, Trainer } from "../support/trainer.ts";
import { AdversarialLoss, type AdversarialTerm } from "./adversarial.ts";
import type { Stage1Config } from "./config.ts";
import { type RegularizerTerm, regularizerTerm } from "./regularizer-term.ts";

/** What a stage-1 training is made from. */
export interface Stage1Options {
  readonly config: Stage1Config;
  readonly precision: Precision;
  readonly dataset: PairDataset;
  /**
   * The distance of the perceptual term: two batches `[B, 3, H, W]` in [−1, 1] to a scalar with a gradient for the first. Needed
   * where the configuration has that term; see {@link perceptualLoss}.
   */
  readonly distance?: ((a: Tensor, b: Tensor) => Tensor) | undefined;
  /** What the weights begin with, if not at random. */
  readonly pretrained?: Pretrained<IqVae> | undefined;
  /** With whom the batches are shared, if with anybody. */
  readonly peers?: Peers | undefined;
}

/** β of the commitment loss (van den Oord et al. 2017, § 3.2 use 0.25; on the unit sphere distances are at most 4). */
const COMMITMENT = 0.25;
/** The largest norm of all gradients together. */
const CLIP_NORM = 1;
/** Where the cosine ends, as a share of the peak rate. */
const FINAL_RATE = 1 / 20;
const WEIGHT_DECAY = 1e-4;
const LATEST_PLACING = 200;
const BETAS = [0.9, 0.99] as const;
const EVALUATION_BATCH = 64;
/** Held-out pairs an evaluation looks at, spread over all. */
const EVALUATED = 512;

/** Scalars of a step. */
type Figures = { readonly loss: Tensor } & Readonly<Record<string, Tensor>>;

/** What the two halves made of a batch. */
interface Outcome {
  readonly loss: Tensor;
  readonly parts: Readonly<Record<string, Tensor>>;
  /** Real and reconstructed picture, `[B, 3, H, W]` in float32, and all that their difference costs. */
  readonly image: { readonly real: Tensor; readonly reconstruction: Tensor; readonly loss: Tensor };
}

/**
 * Stage 1: both auto-encoders, both quantizers, the regularizer and the discriminator in one step.
 *
 * Loss [O where not said otherwise]: `ℓ1(image) + perceptual + adversarial + CE(condition) + β·commitment of both +
 * weight·GW` with the Gromov–Wasserstein term on features before quantization.
 */
export class Stage1Trainer implements Trainer {
  readonly model: IqVae;
  readonly #config: Stage1Config;
  readonly #precision: Precision;
  readonly #data: PairDataset;
  readonly #condition: Condition;
  readonly #regularizer: RegularizerTerm | null;
  readonly #perceptual: { readonly weight: number; readonly distance: (a: Tensor, b: Tensor) => Tensor } | null;
  readonly #optimizer: AdamW;
  readonly #parameters: Map<string, Tensor>;
  readonly #adversarial: AdversarialLoss | null;
  readonly #metrics: RunningMeans;
  #steps = 0;
  readonly #peers: Peers | undefined;
  readonly #gradients: GradientBuckets | undefined;

  /** Weights are drawn from the default random generator. @throws Error for a perceptual term without a distance */
  constructor({ config, precision, dataset, distance, pretrained, peers }: Stage1Options) {
    const { perceptual, adversarial } = config;
    this.#config = config;
    this.#precision = precision;
    this.#data = dataset;
    this.#condition = conditionFor(dataset.condition, dataset.size);
    if (perceptual !== null && distance === undefined)
      throw new Error("Stage1Trainer: the configuration has a perceptual term, but no distance was given.");
    this.#perceptual = perceptual && distance ? { weight: perceptual.weight, distance } : null;
    this.model = new IqVae(config.model, this.#condition);
    if (pretrained !== undefined) this.#begin(pretrained);
    this.#regularizer = regularizerTerm(config.regularizer, { model: this.model, size: dataset.size });
    this.#parameters = new Map([
      ...this.model.namedParameters(),
      ...prefixed("regularizer.", this.#regularizer?.predictor?.namedParameters() ?? new Map<string, Tensor>()),
    ]);
    this.#optimizer = new AdamW(decayMatrices(this.#parameters, WEIGHT_DECAY), { betas: BETAS });
    this.#adversarial = adversarial ? new AdversarialLoss(adversarial, peers) : null;
    this.#peers = peers;
    this.#gradients = peers?.gradientsOf(this.#parameters.values());
    if (peers !== undefined) for (const quantizer of this.#quantizers) quantizer.joinPeers(peers);
    this.#metrics = new RunningMeans(this.model.image.decoder.head.weight.device);
  }

  #begin(pretrained: Pretrained<IqVae>): void {
    adoptIqVae(this.model, pretrained);
    const { imageTokens, conditionTokens } = this.model.tokenShape(this.#data.size);
    const { image, condition } = this.model;
    for (const [{ quantizer }, tokens] of [[image, imageTokens] as const, [condition, conditionTokens] as const])
      if (isPlaced(quantizer)) rescaleCounts(quantizer, this.#config.batch * tokens);
  }

  /** The step at which k-means places the codes; before it the decoders see the features themselves. */
  get #placeAt(): number {
    return Math.min(LATEST_PLACING, Math.floor(this.#config.steps / 8));
  }

  get #quantizers(): Quantizer[] {
    return [this.model.image.quantizer, this.model.condition.quantizer];
  }

  /** Codes may be placed already: by what this began with, or before a checkpoint, of a training that may have had fewer steps. */
  #mode(quantizer: Quantizer): IqVaeMode {
    const { steps, polishFrom } = this.#config;
    const done = this.#steps;
    if (done < this.#placeAt && !isPlaced(quantizer)) return "bypass";
    return polishFrom < 1 && done > this.#placeAt && done >= Math.floor(polishFrom * steps) ? "polish" : "learn";
  }

  step(indices: Uint32Array): StepMetrics {
    const { steps, warmup, rate: peak } = this.#config;
    const rate = warmupCosine({ step: this.#steps, total: steps, warmup, peak, floor: peak * FINAL_RATE });
    const rows = this.#peers?.rowsOf(indices) ?? indices;
    const { images, rasters } = batchTensors(this.#data.train.batch(rows), rows.length, this.#data);
    this.#optimizer.zeroGrad();
    const modes = this.#quantizers.map((quantizer) => this.#mode(quantizer)) as [IqVaeMode, IqVaeMode];
    // What only the way back needs is then held by the graph alone, which lets go of it as it goes.
    const { loss, parts, image } = scope(() => this.#forward(images, rasters, ...modes));
    const adversarial = this.#adversarialTerm(image);
    this.#gradients?.arm();
    (adversarial === null ? loss : loss.add(adversarial.term)).backward();
    const means = this.#reduce({ loss, ...parts, ...adversarial?.parts });
    // Nothing is changed before this line: a step that loses another process has not happened.
    if (adversarial !== null) this.#adversarial?.learn(rate / peak);
    for (const quantizer of this.#quantizers) quantizer.settle();
    const { scale, norm } = clipGradNorm(this.#parameters.values(), CLIP_NORM);
    this.#optimizer.lr = rate;
    this.#optimizer.step({ gradientScale: scale });
    this.#steps += 1;
    const all = { ...means, gradientNorm: norm };
    return { ...this.#metrics.add<"loss">(all), rate };
  }

  /** With peers: the means over all of them of gradients, of what the codebooks learn, and of the figures. */
  #reduce(figures: Figures): Figures {
    if (this.#peers === undefined) return figures;
    this.#gradients?.finish();
    return this.#peers.reduce(
      this.#quantizers.flatMap((quantizer) => quantizer.pending),
      figures,
    ) as Figures;
  }

  /** The discriminator's turn, once it has joined. The logged loss is without its part, whose value means nothing. */
  #adversarialTerm(image: Outcome["image"]): AdversarialTerm | null {
    if (!this.#adversarial?.isActive(this.#steps, this.#config.steps)) return null;
    const adversarial = this.#adversarial;
    const last = this.model.image.decoder.head.weight;
    return scope(() => adversarial.compute({ ...image, last }, (body) => this.#cast(body)));
  }

  tensors(): Map<string, Tensor> {
    return new Map([
      ...prefixed("model.", this.model.stateDict()),
      ...prefixed("regularizer.", this.#regularizer?.predictor?.stateDict() ?? new Map<string, Tensor>()),
      ...prefixed("optimizer.", this.#optimizer.stateDict()),
      ...prefixed("adversary.", this.#adversarial?.tensors() ?? new Map<string, Tensor>()),
    ]);
  }

  state(): Record<string, unknown> {
    return { steps: this.#steps, ...(this.#adversarial && { adversarySteps: this.#adversarial.steps }) };
  }

  restore(tensors: ReadonlyMap<string, Tensor>, state: Record<string, unknown>): void {
    this.model.loadStateDict(below("model.", tensors));
    this.#regularizer?.predictor?.loadStateDict(below("regularizer.", tensors));
    this.#optimizer.loadStateDict(below("optimizer.", tensors));
    this.#steps = Number(state.steps);
    this.#adversarial?.restore(below("adversary.", tensors), Number(state.adversarySteps));
  }

  /**
   * Means over held-out pairs of losses and of errors of pixels and classes, and how evenly both codebooks are used on these
   * pairs. The regularizer, and the loss of a layout, a mean over boxes, are figures of a batch: of these, the mean over
   * batches by their size.
   */
  evaluate(): Record<string, number> {
    const sums = new Map<string, number>();
    const none = () => ({
      image: new Float64Array(this.model.imageCodes),
      condition: new Float64Array(this.model.conditionCodes),
    });
    const own = none();
    const split = this.#data.validation;
    const batches = shareOut(this.#peers, batchesOf(split, EVALUATED), (rows) =>
      scope(() => {
        const { images, rasters } = batchTensors(split.batch(rows), rows.length, this.#data);
        return { B: rows.length, figures: noGrad(() => this.#held(images, rasters, own)) };
      }),
    );
    let pairs = 0;
    for (const { B, figures } of batches) {
      for (const [name, value] of Object.entries(figures)) sums.set(name, (sums.get(name) ?? 0) + B * value);
      pairs += B;
    }
    const used = none();
    for (const part of this.#peers?.gather(own) ?? [own])
      for (const half of ["image", "condition"] as const)
        part[half].forEach((count, i) => {
          used[half][i]! += count;
        });
    const figures = Object.fromEntries([...sums].map(([name, sum]) => [name, sum / pairs]));
    for (const half of ["image", "condition"] as const) {
      const { active, perplexity } = usageOf(used[half]);
      figures[`${half}Active`] = active;
      figures[`${half}Perplexity`] = perplexity;
    }
    return figures;
  }

  #held(
    images: Tensor,
    rasters: Tensor,
    used: { image: Float64Array; condition: Float64Array },
  ): Record<string, number> {
    const { loss, parts } = this.#forward(images, rasters, "use");
    const imageCodes = this.#cast(() => this.model.encodeImage(images));
    const conditionCodes = this.#cast(() => this.model.encodeCondition(rasters));
    countCodes(imageCodes, used.image);
    countCodes(conditionCodes, used.condition);
    const painted = this.#cast(() => this.model.decodeImage(imageCodes, conditionCodes));
    const drawn = this.#cast(() => this.model.decodeCondition(conditionCodes));
    const squared = painted.to("float32").sub(images.to("float32")).div(127.5).square().mean();
    const figures = Object.entries(parts).map(([name, value]) => [name, value.item()]);
    return {
      loss: loss.item(),
      ...Object.fromEntries(figures),
      imageMse: squared.item(),
      ...this.#fidelity(rasters, drawn),
    };
  }

  /** Means over the batch of the condition's figures: `conditionAccuracy` and the like. */
  #fidelity(truth: Tensor, guess: Tensor): Record<string, number> {
    const [expected, given] = [truth, guess].map((samples) => samples.contiguous().read("uint8"));
    const figures = meanFidelity(this.#condition, expected!, given!);
    const named = (figure: string) => `condition${figure.charAt(0).toUpperCase()}${figure.slice(1)}`;
    return Object.fromEntries(Object.entries(figures).map(([figure, value]) => [named(figure), value]));
  }

  #cast<T>(body: () => T): T {
    return inPrecision({ precision: this.#precision }, body);
  }

  #forward(images: Tensor, rasters: Tensor, mode: IqVaeMode, conditionMode = mode): Outcome {
    const target = toUnitRange(images);
    const planes = this.#condition.toPlanes(rasters);
    const { image, condition } = this.#cast(() => this.model.forward(target, planes, mode, conditionMode));
    const reconstruction = image.reconstruction.to("float32");
    const parts: Record<string, Tensor> = {
      imageLoss: ops.aten.l1_loss(reconstruction, target),
      conditionLoss: scope(() => this.#condition.loss(condition.reconstruction, rasters)),
      imageCommitment: image.quantized.commitment,
      conditionCommitment: condition.quantized.commitment,
    };
    let imageLoss = parts.imageLoss!;
    const perceptual = this.#perceptual;
    if (perceptual !== null) {
      parts.perceptualLoss = this.#cast(() => perceptual.distance(reconstruction, target));
      imageLoss = imageLoss.add(parts.perceptualLoss, { alpha: perceptual.weight });
    }
    let loss = imageLoss
      .add(parts.conditionLoss!)
      .add(parts.imageCommitment!.add(parts.conditionCommitment!), { alpha: COMMITMENT });
    const regularizer = this.#regularizer;
    if (regularizer !== null) {
      const sides = { image: image.quantized.unit, condition: condition.quantized.unit, picture: target };
      const measured = () => this.#cast(() => regularizer.measure(sides));
      parts.regularizer = mode === "polish" ? noGrad(measured) : measured();
      loss = loss.add(parts.regularizer, { alpha: regularizer.weight });
    }
    return { loss, parts, image: { real: target, reconstruction, loss: imageLoss } };
  }
}

const isPlaced = ({ placed }: Quantizer): boolean => placed.item() === 1;

/** Rows of a split, spread over all, in batches. */
function batchesOf(split: PairSplit, most: number): number[][] {
  const chosen = [...spreadRows(split, most)];
  const count = Math.ceil(chosen.length / EVALUATION_BATCH);
  return Array.from({ length: count }, (_, i) => chosen.slice(i * EVALUATION_BATCH, (i + 1) * EVALUATION_BATCH));
}
