import type { ModelShape } from "../layers.ts";
import type { Answer, Question } from "../sampling/sample.ts";
import type { Weights } from "../weights.ts";

/** A value, at once or later. */
export type Soon<T> = T | Promise<T>;

/** What draws with a model: one contract for all that can. Each call waits for the one before. */
export interface Engine {
  /** What computes, for people: "WebAssembly, relaxed SIMD". */
  readonly name: string;
  /** Planes `[height, width, channels]` of a condition → its tokens, in raster order. */
  encode(planes: Float32Array): Soon<Int32Array>;
  /** Logits, float32 `[S, imageCodes]`; valid until the next call. */
  predict(question: Question): Soon<Answer>;
  /**
   * Goes on with some sequences of the present batch only: questions to come are about these, in this order. The others cost nothing more.
   *
   * @param sequences their numbers among those that the last question was about
   */
  keep(sequences: Int32Array): Soon<void>;
  /**
   * Image tokens, in raster order → RGB bytes `[size, size, 3]`.
   *
   * @param condition the tokens of the image's condition, which a coupled decoder sees
   */
  decode(tokens: Int32Array, condition: Int32Array): Soon<Uint8Array>;
  /** Gives all memory back. Nothing can be asked afterward. */
  release(): Soon<void>;
}

/** What a condition is brought to and an image is made of. */
export type DrawnModel = ModelShape & { readonly size: number };

/** Gives the bytes of a file of the exported folder, checked; a {@link ModelError} when it is missing or damaged. */
export type ReadFile = (name: string) => Promise<Uint8Array>;

/**
 * Makes an engine for a model.
 *
 * @param weights are views of the file's bytes, which it may keep
 * @param read for what else it needs
 */
export type EngineFactory = (model: DrawnModel, weights: Weights, read: ReadFile) => Soon<Engine>;
