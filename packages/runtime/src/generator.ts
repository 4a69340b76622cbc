import { type Bundle, examplesOf, MODEL_FILE, parseBundle, WEIGHTS_FILE } from "./bundle.ts";
import type { Condition } from "./conditions/condition.ts";
import { plainCondition } from "./conditions/index.ts";
import type { Engine, EngineFactory } from "./engines/engine.ts";
import { ownEngine } from "./engines/own.ts";
import { DisposedError, ModelError } from "./errors.ts";
import { checkIntegrity, folderOf, type ModelSource, type OnBytes } from "./files.ts";
import { tokenCounts } from "./layers.ts";
import { breathe, Turns } from "./queue.ts";
import type { SampleOptions, TokenCounts } from "./sampling/options.ts";
import { type Answer, type Question, sampleTokens } from "./sampling/sample.ts";
import { readWeights } from "./weights.ts";

export interface LoadOptions {
  /** Called as bytes of the model come, with how many there are in all. */
  readonly progress?: (loaded: number, total: number) => void;
  readonly signal?: AbortSignal;
  /** What computes: {@link onnxEngine}, or another. Default: WebAssembly kernels of this package. */
  readonly engine?: EngineFactory;
}

/** What to draw; what is not said is drawn as the model's `sampling` says. */
export interface ImageOptions extends SampleOptions {
  readonly signal?: AbortSignal;
  /** For each condition the tokens that are given, −1 where one is to be drawn: to draw a part of an image anew. */
  readonly fixed?: readonly Int32Array[];
  /** Another condition for each, and how much of it: 0 none, 1 nothing else. */
  readonly blend?: { readonly conditions: readonly Uint8Array[]; readonly share: number };
}

/** An image, or one on the way: see {@link ImageGenerator.stream}. */
export interface Frame {
  /** The number of the image among those that are drawn. */
  readonly sample: number;
  /** RGB bytes `[size, size, 3]`. */
  readonly pixels: Uint8Array;
  /** `[imageTokens]`; −1 for those that are still to come. */
  readonly tokens: Int32Array;
  /** How much of the image is drawn, in (0, 1]; 1 for the last frame of each image, which is what `draw` gives. */
  readonly share: number;
}

/** Draws images for conditions with an exported model. */
export class ImageGenerator implements AsyncDisposable {
  readonly model: Bundle;
  /** Reads, checks and shows conditions. */
  readonly condition: Condition;
  readonly #counts: TokenCounts;
  readonly #turns = new Turns();
  #engine: Engine | undefined;

  private constructor(model: Bundle, engine: Engine) {
    this.model = model;
    this.condition = plainCondition(model.condition, model.size);
    this.#engine = engine;
    this.#counts = tokenCounts(model);
  }

  /**
   * Loads a model that `iqvae export` wrote, and checks its bytes against the hash in `model.json`. In browsers the weights are kept in
   * the Cache API, so that a second visit fetches `model.json` only.
   *
   * @throws ModelError when a file is missing or damaged; what the signal says when it is aborted
   */
  static async load(source: ModelSource, options: LoadOptions = {}): Promise<ImageGenerator> {
    const { progress, signal, engine = ownEngine } = options;
    const folder = folderOf(source);
    const json = await folder.read(MODEL_FILE, () => {}, signal);
    const model = parseBundle(new TextDecoder().decode(json));
    const read = async (name: string, onBytes: OnBytes): Promise<Uint8Array> => {
      const expected = model.files[name];
      if (expected === undefined)
        throw new ModelError(name, "missing", `${MODEL_FILE} does not name it; export the run again: iqvae export`);
      const bytes = await folder.read(name, onBytes, signal, expected);
      await checkIntegrity(name, bytes, expected);
      signal?.throwIfAborted();
      return bytes;
    };
    const total = model.files[WEIGHTS_FILE]!.bytes;
    const bytes = await read(WEIGHTS_FILE, (loaded) => progress?.(loaded, total));
    const file = async (name: string) => (name === WEIGHTS_FILE ? bytes : await read(name, () => {}));
    const made = await engine(model, readWeights(bytes, model), file);
    if (signal?.aborted) await made.release(); // nobody else would
    signal?.throwIfAborted();
    return new ImageGenerator(model, made);
  }

  /** What computes, for people. */
  get engine(): string {
    return this.#alive().name;
  }

  /** Conditions that come with the model, to begin with: held-out ones of its data. */
  get examples(): Uint8Array[] {
    return examplesOf(this.model);
  }

  /**
   * Draws images.
   *
   * @param conditions bytes of conditions
   * @throws RangeError for bytes or options that mean nothing; what the signal says when it is aborted, which is looked at between tokens
   * @returns for each condition `options.samples` images, RGB bytes `[size, size, 3]`
   */
  async draw(conditions: readonly Uint8Array[], options: ImageOptions = {}): Promise<Uint8Array[][]> {
    const images: Uint8Array[] = [];
    const samples = options.samples ?? 1;
    const asked = this.#asked(conditions, options);
    for await (const { sample, pixels } of this.#frames(asked, Infinity)) images[sample] = pixels;
    return conditions.map((_, i) => images.slice(i * samples, (i + 1) * samples));
  }

  /**
   * Draws images that can be looked at while they are drawn: after each row of tokens a frame of each, in which the tokens to come are
   * the code that is likeliest next. Others who draw wait until it ends, or its consumer leaves.
   *
   * @param condition bytes of one condition
   * @throws as {@link draw}
   */
  stream(condition: Uint8Array, options: ImageOptions = {}): AsyncGenerator<Frame, void> {
    return this.#frames(this.#asked([condition], options), this.model.grids.image[1]);
  }

  /**
   * Tokens of images, as {@link draw} draws them.
   *
   * @returns for each condition `options.samples` rows of tokens, one after the other
   */
  async drawTokens(conditions: readonly Uint8Array[], options: ImageOptions = {}): Promise<Int32Array[]> {
    const asked = this.#asked(conditions, options);
    const { signal } = asked.options;
    const end = await this.#turns.take(signal);
    try {
      const drawing = (await this.#drawing(asked)).tokens;
      let step = drawing.next();
      while (!step.done) step = drawing.next(await this.#answer(step.value, signal));
      return step.value;
    } finally {
      end();
    }
  }

  /** Gives all memory back, after what is being drawn. Nothing can be drawn afterward. */
  async dispose(): Promise<void> {
    const end = await this.#turns.take();
    const engine = this.#engine;
    this.#engine = undefined;
    end();
    await engine?.release();
  }

  /** For `await using generator = await ImageGenerator.load(…)`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  /** Checked copies, as whoever asks may paint on in the same bytes while it waits for its turn. */
  #asked(conditions: readonly Uint8Array[], options: ImageOptions): Asked {
    const copies = (all: readonly Uint8Array[]) =>
      listed(all).map((condition) => {
        this.condition.check(condition);
        return new Uint8Array(condition);
      });
    const { blend, fixed } = options;
    return {
      conditions: copies(conditions),
      options: {
        ...options,
        ...(blend && { blend: { ...blend, conditions: copies(blend.conditions) } }),
        ...(fixed && { fixed: fixed.map((tokens) => tokens.slice()) }),
      },
    };
  }

  /** @param every tokens from one frame to the next */
  async *#frames(asked: Asked, every: number): AsyncGenerator<Frame, void> {
    const { options } = asked;
    const end = await this.#turns.take(options.signal);
    try {
      const { tokens: drawing, conditionOf } = await this.#drawing(asked);
      let step = drawing.next();
      while (!step.done) {
        const question = step.value;
        let answer = await this.#answer(question, options.signal);
        if (question.t > 0 && question.t % every === 0) {
          answer = answer.slice(); // the engine would overwrite it
          for (let i = 0; i < question.images.count; i++)
            yield await this.#unfinished(question, answer, i, conditionOf);
        }
        step = drawing.next(answer);
      }
      for (const [sample, tokens] of step.value.entries()) {
        await breathe();
        options.signal?.throwIfAborted();
        yield { sample, tokens, pixels: await this.#decode(tokens, conditionOf(sample)), share: 1 };
      }
    } finally {
      end();
    }
  }

  async #unfinished(
    { t, drawn, images }: Question,
    answer: Answer,
    i: number,
    conditionOf: (sample: number) => Int32Array,
  ): Promise<Frame> {
    const { imageCodes: K, imageTokens: T } = this.#counts;
    const logits = answer.subarray(i * K, (i + 1) * K);
    const likeliest = logits.indexOf(logits.reduce((most, logit) => Math.max(most, logit), -Infinity));
    const tokens = drawn.slice(i * T, (i + 1) * T);
    const sample = images.first + i;
    const pixels = await this.#decode(tokens.slice().fill(Math.max(0, likeliest), t), conditionOf(sample));
    return { sample, pixels, tokens: tokens.fill(-1, t), share: t / T };
  }

  /** Tokens to be drawn, and the tokens of the condition that a coupled decoder sees: of a blend, those of the larger share. */
  async #drawing({ conditions, options: { blend, signal: _, ...options } }: Asked) {
    const others = blend && { share: blend.share, conditions: await this.#encode(blend.conditions) };
    const own = await this.#encode(conditions);
    const wanted = { ...this.model.sampling, ...said(options), ...(others && { blend: others }) };
    const tokens = sampleTokens(this.#counts, own, wanted);
    const seen = others !== undefined && others.share > 0.5 ? others.conditions : own;
    const conditionOf = (sample: number) => seen[Math.floor(sample / (options.samples ?? 1))]!;
    return { tokens, conditionOf };
  }

  async #encode(conditions: readonly Uint8Array[]): Promise<Int32Array[]> {
    const tokens: Int32Array[] = [];
    for (const each of conditions) tokens.push(await this.#alive().encode(this.condition.planesOf(each)));
    return tokens;
  }

  async #answer(question: Question, signal: AbortSignal | undefined): Promise<Answer> {
    await breathe();
    signal?.throwIfAborted();
    return await this.#alive().predict(question);
  }

  async #decode(tokens: Int32Array, condition: Int32Array): Promise<Uint8Array> {
    return await this.#alive().decode(tokens, condition);
  }

  #alive(): Engine {
    if (this.#engine !== undefined) return this.#engine;
    throw new DisposedError("this ImageGenerator was disposed of, so it cannot draw; load the model again");
  }
}

/** What is to be drawn, in bytes that nobody else has. */
interface Asked {
  readonly conditions: readonly Uint8Array[];
  readonly options: ImageOptions;
}

/** JavaScript may hand in one condition, whose bytes would be taken for several. */
function listed(conditions: readonly Uint8Array[]): readonly Uint8Array[] {
  if (Array.isArray(conditions)) return conditions;
  const came = (conditions as object | undefined)?.constructor.name ?? conditions;
  throw new RangeError(`conditions must be a list, such as [condition], but ${came} came`);
}

/** Options but for those that are `undefined`: they would hide what the model says. */
function said<O extends object>(options: O): Partial<O> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<O>;
}
