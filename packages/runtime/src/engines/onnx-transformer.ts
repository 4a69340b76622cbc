import type { Answer, Question, Sequences } from "../sampling/sample.ts";
import type { DrawnModel } from "./engine.ts";
import type { Graph, OnnxTensors, Tensors } from "./onnx.ts";

/** Rows that caches grow by. A step looks at all that there are, those that are not in use yet included. */
const GROWTH = 16;

/** Keys and values of a batch under way. */
interface Caches {
  readonly room: number;
  /** By the names of the graphs, float32 `[S, heads, room, D]`. */
  readonly rows: ReadonlyMap<string, Float32Array>;
  /** The same as tensors. */
  readonly feeds: OnnxTensors;
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
  #caches: Caches | undefined;

  constructor({ transformer, grids, autoencoders }: DrawnModel, whole: Graph, step: Graph, tensors: Tensors) {
    const { layers, heads, width } = transformer;
    this.#whole = whole;
    this.#step = step;
    this.#tensors = tensors;
    this.#names = Array.from({ length: layers }, (_, i) => [`${i}.key`, `${i}.value`]).flat();
    this.#heads = heads;
    this.#D = width / heads;
    this.#K = autoencoders.image.codes;
    this.#P = grids.condition[0] * grids.condition[1];
  }

  /** Logits, `[S, K]`. */
  async predict({ sequences, t, last }: Question): Promise<Answer> {
    if (t > 0) return await this.#next(last, t - 1);
    this.#caches = undefined;
    return await this.#start(sequences);
  }

  /** Goes on with some of the sequences only. */
  keep(sequences: Int32Array): void {
    const [H, D] = [this.#heads, this.#D];
    const { room, rows } = this.#caches!;
    const kept = [...rows].map(([name, all]): [string, Float32Array] => [name, blocks(all, sequences, H * room * D)]);
    this.#caches = this.#cachesOf(new Map(kept), room, sequences.length);
  }

  /** Lets go of keys and values. */
  forget(): void {
    this.#caches = undefined;
  }

  /** Reads the conditions, each once. */
  async #start({ conditions, of }: Sequences): Promise<Float32Array> {
    const [H, D, P] = [this.#heads, this.#D, this.#P];
    const N = conditions.length;
    const { whole, float } = this.#tensors;
    const tokens = new Int32Array(N * P);
    conditions.forEach((each, n) => {
      tokens.set(each, n * P);
    });
    const none = float(new Float32Array(0), [N, H, 0, D]);
    const out = await this.#whole.run({
      condition: whole(tokens, [N, P]),
      image: whole([], [N, 0]),
      ...Object.fromEntries(this.#names.map((name) => [`past.${name}`, none])),
    });
    const present = this.#names.map((name): [string, Float32Array] => {
      const rows = out[`present.${name}`]!.data as Float32Array; // [N, H, P, D]
      return [name, blocks(rows, of, H * P * D)];
    });
    this.#caches = this.#grown(new Map(present), P, of.length);
    return blocks(out.logits!.data as Float32Array, of, this.#K);
  }

  /** The same rows with room for more, with zeros in it: they are not looked at, but must be finite. */
  #grown(rows: Caches["rows"], before: number, sequences: number): Caches {
    const [H, D] = [this.#heads, this.#D];
    const room = before + GROWTH;
    const larger = new Map<string, Float32Array>();
    for (const [name, values] of rows) {
      const all = new Float32Array(sequences * H * room * D);
      for (let at = 0; at < sequences * H; at++)
        all.set(values.subarray(at * before * D, (at + 1) * before * D), at * room * D);
      larger.set(name, all);
    }
    return this.#cachesOf(larger, room, sequences);
  }

  #cachesOf(rows: Caches["rows"], room: number, sequences: number): Caches {
    const shape = [sequences, this.#heads, room, this.#D];
    const feeds = [...rows].map(([name, all]) => [`past.${name}`, this.#tensors.float(all, shape)]);
    return { room, rows, feeds: Object.fromEntries(feeds) };
  }

  /** Feeds image token `t` of every sequence; gives the logits of the next. */
  async #next(last: Int32Array, t: number): Promise<Float32Array> {
    const S = last.length;
    const row = this.#P + t;
    let caches = this.#caches!;
    if (row === caches.room) {
      caches = this.#grown(caches.rows, row, S);
      this.#caches = caches;
    }
    const D = this.#D;
    const { whole } = this.#tensors;
    const out = await this.#step.run({ token: whole(last, [S]), past_length: whole([row], [1]), ...caches.feeds });
    for (const [name, all] of caches.rows) {
      const made = out[`new.${name}`]!.data as Float32Array; // [S, H, 1, D]
      for (let at = 0; at < S * this.#heads; at++)
        all.set(made.subarray(at * D, (at + 1) * D), (at * caches.room + row) * D);
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
