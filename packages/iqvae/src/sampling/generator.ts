import { checkRaster, type SampleOptions } from "@iqvae/runtime";
import { inferenceMode, scope, type Tensor, tensor } from "@iqvae/torch";
import { conditionFor } from "../conditions/index.ts";
import type { Config } from "../config/index.ts";
import { type ConditionSpec, conditionSpec } from "../data/index.ts";
import type { PartialImage } from "../media/index.ts";
import { reduction } from "../models/autoencoder.ts";
import type { IqVae } from "../models/iqvae.ts";
import type { Transformer } from "../models/transformer.ts";
import { inPrecision, type Precision, samplingPrecision } from "../support/precision.ts";
import { checkPartial, givenTokens, withGivenPixels, withoutHole } from "./completion.ts";
import { type Likelihood, likelihoods, tokenSurprise } from "./likelihood.ts";
import type { TokenSampler } from "./options.ts";
import { cachedSampler } from "./sampler.ts";
import { type Grid, type Grids, slidingSampler } from "./sliding.ts";

/** What an {@link ImageGenerator} is loaded from: a run folder, as `openRun` gives it. */
export interface TrainedRun {
  readonly config: Config;
  loadModels(): { readonly iqvae: IqVae; readonly transformer: Transformer };
}

/** How an {@link ImageGenerator} computes. */
export interface GeneratorOptions {
  /**
   * What it computes in. Default: on a processor float32, so that a seed draws the same images on any of them; on a GPU as the run was
   * trained. bfloat16 draws others of the same kind, and is faster where the processor has instructions for it (`iqvae doctor`).
   */
  readonly precision?: Precision;
}

/** Draws images for conditions with a trained run. It owns both models: see {@link ImageGenerator.dispose}. */
export class ImageGenerator implements Disposable {
  readonly config: Config;
  readonly spec: ConditionSpec;
  readonly #iqvae: IqVae;
  readonly #transformer: Transformer;
  readonly #precision: Precision;

  constructor(
    config: Config,
    spec: ConditionSpec,
    models: { iqvae: IqVae; transformer: Transformer },
    { precision = samplingPrecision(config.precision) }: GeneratorOptions = {},
  ) {
    this.config = config;
    this.spec = spec;
    this.#iqvae = models.iqvae;
    this.#transformer = models.transformer;
    this.#precision = precision;
  }

  /** How images are drawn where the configuration is asked, to be passed on to {@link draw} and the others, which do not. */
  get sampling(): SampleOptions {
    return this.config.sampling;
  }

  /** Both models, to be measured. */
  get models(): { readonly iqvae: IqVae; readonly transformer: Transformer } {
    return { iqvae: this.#iqvae, transformer: this.#transformer };
  }

  /**
   * Loads the models of a run: the last weights of stage 1, and of stage 2 those with the lowest held-out loss.
   *
   * @throws CheckpointError when the run has not come to stage 2 yet, or when a checkpoint is damaged
   */
  static load(run: TrainedRun, options: GeneratorOptions = {}): ImageGenerator {
    return new ImageGenerator(run.config, conditionSpec(run.config.data), run.loadModels(), options);
  }

  /**
   * Draws images.
   *
   * @param conditions bytes of conditions, as in a batch of the data set
   * @throws RangeError for bytes that mean nothing
   * @returns for each condition `options.samples` images, RGB bytes `[size, size, 3]`
   */
  draw(conditions: readonly Uint8Array[], options: SampleOptions = {}): Uint8Array[][] {
    return this.#run(() => {
      const given = this.#encode(conditions);
      return this.#decode(this.#sampler().sample(given, options), given);
    });
  }

  /**
   * Draws the rest of partly given images. Tokens whose pixels are all given are fixed; the others are drawn in raster order,
   * each after those before it, so that a given part below a hole counts only for what follows it. With nothing given, it
   * draws what {@link draw} does.
   *
   * @param given one for each condition
   * @returns as {@link draw}, with the given pixels as they were
   * @throws RangeError when an image or a mask has another size
   */
  complete(
    conditions: readonly Uint8Array[],
    given: readonly PartialImage[],
    options: SampleOptions = {},
  ): Uint8Array[][] {
    const { size } = this.config.data;
    if (given.length !== conditions.length)
      throw new RangeError(
        `complete() takes one partial image for each condition, but got ${given.length} for ${conditions.length}`,
      );
    for (const partial of given) checkPartial(partial, size);
    const images = this.#run(() => {
      const fixed = this.#fixedTokens(given);
      const tokens = this.#encode(conditions);
      return this.#decode(this.#sampler().sample(tokens, { ...options, fixed }), tokens);
    });
    return images.map((row, i) => row.map((image) => withGivenPixels(image, given[i]!)));
  }

  /** int64 `[N, imageTokens]`, −1 where nothing is given. */
  #fixedTokens(given: readonly PartialImage[]): Tensor {
    const { size } = this.config.data;
    const [side] = this.#iqvae.image.gridFor([size, size]);
    const pixels = tensor(concatenated(given.map(withoutHole)), { shape: [given.length, size, size, 3] });
    const flags = Uint8Array.from(given.flatMap(({ mask }) => givenTokens(mask, size, side).map(Number)));
    const isGiven = tensor(flags, { shape: [given.length, side * side] }).to("bool");
    return this.#iqvae.encodeImage(pixels).flatten(1).masked_fill(isGiven.logical_not(), -1);
  }

  /**
   * Draws images on the way from one condition to another, all with the same random numbers: only the condition moves, by
   * its share in the logits [O]. A coupled decoder sees the one that has the larger share.
   *
   * @param shares of `to`, each in `[0, 1]`
   * @returns for each share `options.samples` images, as {@link draw}
   */
  blend(from: Uint8Array, to: Uint8Array, shares: readonly number[], options: SampleOptions = {}): Uint8Array[][] {
    return this.#run(() => {
      const [a, b] = [this.#encode([from]), this.#encode([to])];
      const sampler = this.#sampler();
      return shares.flatMap((share, i) => {
        const onProgress = (part: number) => options.onProgress?.((i + part) / shares.length);
        const noise = options.noise ?? { kind: "shared" };
        const tokens = sampler.sample(a, { ...options, noise, onProgress, blend: { conditions: b, share } });
        return this.#decode(tokens, share > 0.5 ? b : a);
      });
    });
  }

  /**
   * Draws images that are larger than those of the training: every token is predicted from a window of the trained size
   * around it. A condition of the trained size gives what {@link draw} gives, as far as float32 decides.
   *
   * @param conditions rasters `[height, width]`
   * @param options.size pixels of the images, multiples of the reduction of the run and at least the trained size
   * @returns for each condition `options.samples` images, RGB bytes `[height, width, 3]`
   * @throws RangeError for a size that does not fit, a condition that is not a raster, or bytes that mean nothing
   */
  drawLarger(
    conditions: readonly Uint8Array[],
    { size, ...options }: SampleOptions & { readonly size: { readonly height: number; readonly width: number } },
  ): Uint8Array[][] {
    this.#checkLarger(conditions, size);
    return this.#run(() => {
      const [trained, wanted] = [this.#grids(), this.#grids(size)];
      const tokens = this.#encode(conditions, size);
      const drawn = slidingSampler(this.#transformer, trained, wanted).sample(tokens, options);
      return this.#decode(drawn, tokens, size);
    });
  }

  /** Releases both models. Nothing can be drawn afterward. */
  dispose(): void {
    for (const model of [this.#iqvae, this.#transformer])
      for (const tensor of model.stateDict().values()) tensor.dispose();
  }

  /** For `using generator = ImageGenerator.load(run)`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  #grids(size?: PixelSize): Grids {
    const { size: side } = this.config.data;
    const { height, width } = size ?? { height: side, width: side };
    const grid = ([rows, columns]: readonly [number, number]): Grid => ({ rows, columns });
    const { image, condition, conditionGrid } = this.#iqvae;
    return {
      condition: grid(size === undefined ? conditionGrid : condition.gridFor([height, width])),
      image: grid(image.gridFor([height, width])),
    };
  }

  /**
   * How likely images are under conditions: the likelihood of their tokens, under teacher forcing. It says nothing of what
   * the tokens leave out, so compare it only between images of one run.
   *
   * @param images RGB bytes `[size, size, 3]`, one for each condition
   * @throws RangeError when an image has another size, or bytes of a condition mean nothing
   */
  likelihood(conditions: readonly Uint8Array[], images: readonly Uint8Array[]): Likelihood[] {
    const { size } = this.config.data;
    if (images.length !== conditions.length)
      throw new RangeError(
        `likelihood() takes one image for each condition, but got ${images.length} for ${conditions.length}`,
      );
    const bytes = size * size * 3;
    const wrong = images.find(({ length }) => length !== bytes);
    if (wrong !== undefined)
      throw new RangeError(
        `likelihood() takes images of ${size} × ${size} RGB pixels (${bytes} bytes), but one has ${wrong.length} bytes`,
      );
    return this.#run(() => {
      const pixels = tensor(concatenated(images), { shape: [images.length, size, size, 3] });
      const tokens = this.#iqvae.encodeImage(pixels).flatten(1);
      return likelihoods(tokenSurprise(this.#transformer, this.#encode(conditions), tokens));
    });
  }

  #sampler(): TokenSampler {
    return cachedSampler(this.#transformer, { precision: this.#precision });
  }

  /** Condition tokens, int64 `[N, conditionTokens]`. */
  #encode(conditions: readonly Uint8Array[], size?: PixelSize): Tensor {
    return this.#iqvae.encodeCondition(this.#rasters(conditions, size)).flatten(1);
  }

  /** Image tokens int64 `[N, samples, imageTokens]` for condition tokens `[N, conditionTokens]` → for each condition its images. */
  #decode(tokens: Tensor, given: Tensor, size?: PixelSize): Uint8Array[][] {
    const { image, condition } = this.#grids(size);
    const [N, samples] = tokens.shape as [number, number];
    return Array.from({ length: N }, (_, i) => {
      const own = given.select(0, i).reshape([1, condition.rows, condition.columns]);
      const pixels = this.#iqvae.decodeImage(
        tokens.select(0, i).reshape([samples, image.rows, image.columns]),
        own.expand([samples, -1, -1]),
      );
      const bytes = pixels.read("uint8");
      const length = bytes.length / pixels.shape[0]!;
      return Array.from({ length: pixels.shape[0]! }, (_, k) => bytes.subarray(k * length, (k + 1) * length));
    });
  }

  /** Samples of the condition, uint8 `[N, …]`; of another size only those that are rasters. */
  #rasters(conditions: readonly Uint8Array[], size?: PixelSize): Tensor {
    if (size !== undefined)
      return tensor(concatenated(conditions), { shape: [conditions.length, size.height, size.width] });
    const { check, shape } = conditionFor(this.spec, this.config.data.size);
    for (const condition of conditions) check(condition);
    return tensor(concatenated(conditions), { shape: [conditions.length, ...shape] });
  }

  #checkLarger(conditions: readonly Uint8Array[], size: PixelSize): void {
    const { spec } = this;
    if (spec.kind !== "semantic" && spec.kind !== "lines" && spec.kind !== "edges")
      throw new RangeError(
        `larger images need a condition that is drawn at their size (semantic, lines, edges), but this run has ${spec.kind}`,
      );
    const { data, stage1 } = this.config;
    // Each is a power of two, so that multiples of the larger one are multiples of both.
    const step = Math.max(reduction(stage1.model.image), reduction(stage1.model.condition));
    for (const side of ["height", "width"] as const) {
      if (size[side] >= data.size && size[side] % step === 0) continue;
      throw new RangeError(
        `${side} must be a multiple of ${step} pixels, and at least the ${data.size} of the training, but is ${size[side]}`,
      );
    }
    for (const condition of conditions) checkRaster(spec, condition, [size.height, size.width]);
  }

  #run<T>(body: () => T): T {
    return scope(() => inferenceMode(() => inPrecision({ precision: this.#precision }, body)));
  }
}

interface PixelSize {
  readonly height: number;
  readonly width: number;
}

function concatenated(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
