import type { Answer, Question } from "../sampling/sample.ts";

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
  /** Image tokens, in raster order → RGB bytes `[size, size, 3]`. */
  decode(tokens: Int32Array): Soon<Uint8Array>;
  /** Gives all memory back. Nothing can be asked afterward. */
  release(): Soon<void>;
}
