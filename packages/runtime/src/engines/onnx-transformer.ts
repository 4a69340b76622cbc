import type { Answer, Question, Sequences } from "../sampling/sample.ts";
import type { DrawnModel } from "./engine.ts";
import type { Graph, OnnxTensor, OnnxTensors, Tensors } from "./onnx.ts";

/** A batch under way. */
interface Decoding {
  readonly sequences: Sequences;
  /** Keys and values of each layer by the names of their inputs, float32 `[S, heads, room, D]`. */
  readonly caches: ReadonlyMap<string, Float32Array>;
  /** The same as tensors. */
  readonly feeds: OnnxTensors;
  /** Logits of image token 0 under each condition, `[N, K]`. */
  readonly first: Float32Array;
}

/**
 * The transformer by ONNX graphs, one token at a time. Keys and values stay with us, and only those of the new token come out of a step:
 * ONNX Runtime cannot keep a tensor that grows, and passing all of them on is what takes the time in the form that is usual.
 */
export class OnnxTransformer {
  readonly #whole: Graph;
  readonly #step: Graph;
  readonly #tensors: Tensors;
  readonly #names: readonly string[];
  readonly #heads: number;
  /** Features of a head. */
  readonly #D: number;
  readonly #K: number;
  /** Tokens of a condition. */
  readonly #P: number;
  /** Tokens that are remembered at most: the last of an image is not read. */
  readonly #room: number;
  #decoding: Decoding | undefined;

  constructor({ transformer, grids, autoencoders }: DrawnModel, whole: Graph, step: Graph, tensors: Tensors) {
    const { layers, heads, width } = transformer;
    const count = (grid: readonly number[]) => grid[0]! * grid[1]!;
    this.#whole = whole;
    this.#step = step;
    this.#tensors = tensors;
    this.#names = Array.from({ length: layers }, (_, i) => [`${i}.key`, `${i}.value`]).flat();
    this.#heads = heads;
    this.#D = width / heads;
    this.#K = autoencoders.image.codes;
    this.#P = count(grids.condition);
    this.#room = this.#P + count(grids.image) - 1;
  }

  /** Logits, `[S, K]`. */
  async predict({ sequences, t, last }: Question): Promise<Answer> {
    if (t > 0) return await this.#next(last, t - 1);
    this.#decoding = undefined;
    this.#decoding = await this.#start(sequences);
    return blocks(this.#decoding.first, sequences.of, this.#K);
  }

  /** Lets go of keys and values. */
  forget(): void {
    this.#decoding = undefined;
  }

  /** Reads the conditions, each once, and makes room for the image tokens. */
  async #start(sequences: Sequences): Promise<Decoding> {
    const [H, D, P] = [this.#heads, this.#D, this.#P];
    const N = sequences.conditions.length;
    const { whole, float } = this.#tensors;
    const tokens = new Int32Array(N * P);
    sequences.conditions.forEach((each, n) => {
      tokens.set(each, n * P);
    });
    const none = float(new Float32Array(0), [N, H, 0, D]);
    const out = await this.#whole.run({
      condition: whole(tokens, [N, P]),
      image: whole([], [N, 0]),
      ...Object.fromEntries(this.#names.map((name) => [`past.${name}`, none])),
    });
    const caches = new Map<string, Float32Array>();
    const feeds: Record<string, OnnxTensor> = {};
    for (const name of this.#names) {
      const present = out[`present.${name}`]!.data as Float32Array; // [N, H, P, D]
      const cache = this.#spread(present, sequences.of);
      caches.set(name, cache);
      feeds[`past.${name}`] = float(cache, [sequences.of.length, H, this.#room, D]);
    }
    return { sequences, caches, feeds, first: out.logits!.data as Float32Array };
  }

  /** `[N, H, P, D]` of the conditions → `[S, H, room, D]` of the sequences, zeros behind: later rows must be finite. */
  #spread(present: Float32Array, of: Int32Array): Float32Array {
    const [H, rows, room] = [this.#heads, this.#P * this.#D, this.#room * this.#D];
    const cache = new Float32Array(of.length * H * room);
    of.forEach((n, s) => {
      for (let h = 0; h < H; h++)
        cache.set(present.subarray((n * H + h) * rows, (n * H + h + 1) * rows), (s * H + h) * room);
    });
    return cache;
  }

  /** Feeds image token `t` of every sequence; gives the logits of the next. */
  async #next(last: Int32Array, t: number): Promise<Float32Array> {
    const { caches, feeds } = this.#decoding!;
    const [D, room] = [this.#D, this.#room];
    const row = this.#P + t;
    const { whole } = this.#tensors;
    const out = await this.#step.run({ token: whole(last, [last.length]), past_length: whole([row], [1]), ...feeds });
    for (const [name, cache] of caches) {
      const made = out[`new.${name}`]!.data as Float32Array; // [S, H, 1, D]
      for (let at = 0; at < made.length / D; at++)
        cache.set(made.subarray(at * D, (at + 1) * D), (at * room + row) * D);
    }
    return out.logits!.data as Float32Array;
  }
}

/** Blocks of `length` numbers, in the order of a list of their numbers. */
function blocks(values: Float32Array, order: Int32Array, length: number): Float32Array {
  const all = new Float32Array(order.length * length);
  order.forEach((from, to) => {
    all.set(values.subarray(from * length, (from + 1) * length), to * length);
  });
  return all;
}
