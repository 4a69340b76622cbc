import { LAYER_EPSILON, type ModelShape } from "../layers.ts";
import type { Answer, Question, Sequences } from "../sampling/sample.ts";
import { toFloat32, type Weights } from "../weights.ts";
import { type Arena, THEN } from "./memory.ts";
import { Product } from "./products.ts";

interface LayerNorm {
  readonly weight: number;
  readonly bias: number;
}

interface Block {
  readonly norm1: LayerNorm;
  readonly qkv: Product;
  readonly project: Product;
  readonly norm2: LayerNorm;
  readonly expand: Product;
  readonly contract: Product;
}

/** Addresses of keys and values of one layer, for each of the `H` heads rows of `D` numbers. */
interface Cache {
  /** Those of each condition, `[N, H, P, D]`. */
  readonly prefixKeys: number;
  readonly prefixValues: number;
  /** Those of each sequence's own tokens, `[S, H, T − 1, D]`. */
  readonly keys: number;
  readonly values: number;
}

/** Addresses of keys and values that are attended to, of how many positions, and for how many there is room. */
interface Past {
  readonly keys: number;
  readonly values: number;
  readonly count: number;
  readonly room: number;
}

/** A batch under way. */
interface Decoding {
  readonly sequences: Sequences;
  readonly caches: readonly Cache[];
  /** For each sequence that is gone on with its place in the caches. */
  readonly places: Int32Array;
  /** Logits of image token 0 under each condition, `[N, K]`. */
  readonly first: Float32Array;
}

/**
 * The transformer, one token at a time. Keys and values stay in the kernels' memory; those of a condition are computed once, and
 * all sequences of the condition attend to that one copy.
 */
export class CachedTransformer {
  readonly #arena: Arena;
  readonly #blocks: readonly Block[];
  readonly #norm: LayerNorm;
  readonly #head: Product;
  readonly #conditionEmbedding: Float32Array;
  readonly #imageEmbedding: Float32Array;
  readonly #positions: Float32Array;
  readonly #width: number;
  readonly #heads: number;
  /** Tokens of a condition and of an image. */
  readonly #P: number;
  readonly #T: number;
  readonly #mark: number;
  #decoding: Decoding | undefined;

  /** It has the rest of the arena to itself from then on, but for what others allocate and free within a call. */
  constructor(arena: Arena, { transformer, grids }: ModelShape, weights: Weights) {
    const { layers, width, heads } = transformer;
    const numbers = (name: string) => toFloat32(weights.get(`transformer.${name}`)!);
    const norm = (name: string): LayerNorm => ({
      weight: arena.store(numbers(`${name}.weight`)),
      bias: arena.store(numbers(`${name}.bias`)),
    });
    const product = (name: string) => Product.of(arena, weights, `transformer.${name}`);
    this.#arena = arena;
    this.#width = width;
    this.#heads = heads;
    this.#P = grids.condition[0] * grids.condition[1];
    this.#T = grids.image[0] * grids.image[1];
    this.#conditionEmbedding = numbers("conditionEmbedding.weight");
    this.#imageEmbedding = numbers("imageEmbedding.weight");
    this.#positions = numbers("positions");
    this.#blocks = Array.from({ length: layers }, (_, i) => ({
      norm1: norm(`blocks.${i}.norm1`),
      qkv: product(`blocks.${i}.attention.qkv`),
      project: product(`blocks.${i}.attention.project`),
      norm2: norm(`blocks.${i}.norm2`),
      expand: product(`blocks.${i}.expand`),
      contract: product(`blocks.${i}.contract`),
    }));
    this.#norm = norm("norm");
    this.#head = product("head");
    this.#mark = arena.mark;
  }

  /**
   * Logits, `[S, K]`.
   *
   * @throws RangeError when there is not enough memory for that many sequences
   */
  predict(question: Question): Answer {
    try {
      return this.#predict(question);
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      const count = question.sequences.of.length;
      throw new RangeError(`the batch is too large, with ${count} sequences: ${cause.message}`, { cause });
    }
  }

  #predict({ sequences, t, last }: Question): Answer {
    if (t > 0) return this.#arena.during(() => this.#next(last, t - 1));
    const { first } = this.#begin(sequences);
    const K = this.#head.outputs;
    const logits = new Float32Array(sequences.of.length * K);
    sequences.of.forEach((condition, s) => {
      logits.set(first.subarray(condition * K, (condition + 1) * K), s * K);
    });
    return logits;
  }

  /** Goes on with some of the sequences only. The room of the others stays empty until the next batch. */
  keep(sequences: Int32Array): void {
    const decoding = this.#decoding!;
    this.#decoding = { ...decoding, places: sequences.map((s) => decoding.places[s]!) };
  }

  /** Gives back what the batch under way takes; the next question has to begin another. */
  forget(): void {
    this.#decoding = undefined;
    this.#arena.free(this.#mark);
  }

  #begin(sequences: Sequences): Decoding {
    this.forget();
    try {
      this.#decoding = this.#start(sequences);
      return this.#decoding;
    } catch (error) {
      this.forget();
      throw error;
    }
  }

  /** Reads the conditions and makes room for the image tokens. */
  #start(sequences: Sequences): Decoding {
    const arena = this.#arena;
    const [C, P, T] = [this.#width, this.#P, this.#T];
    const [N, S] = [sequences.conditions.length, sequences.of.length];
    const caches = this.#blocks.map(() => ({
      prefixKeys: arena.allocate(N * P * C),
      prefixValues: arena.allocate(N * P * C),
      keys: arena.allocate(S * Math.max(1, T - 1) * C),
      values: arena.allocate(S * Math.max(1, T - 1) * C),
    }));
    const first = new Float32Array(N * this.#head.outputs);
    sequences.conditions.forEach((tokens, n) => {
      first.set(
        arena.during(() => this.#read(tokens, caches, n * P * C * 4)),
        n * this.#head.outputs,
      );
    });
    return { sequences, caches, places: Int32Array.from({ length: S }, (_, s) => s), first };
  }

  /** Keys and values of one condition, to `offset` bytes into the caches; gives the logits of image token 0. */
  #read(tokens: Int32Array, caches: readonly Cache[], offset: number): Float32Array {
    const arena = this.#arena;
    const [C, P] = [this.#width, this.#P];
    const { x, h, qkv, wide } = this.#room(P);
    const scores = arena.allocate(P + 4);
    tokens.forEach((token, p) => {
      this.#embed(x + 4 * p * C, this.#conditionEmbedding, token, p);
    });
    this.#blocks.forEach((block, i) => {
      const [keys, values] = [caches[i]!.prefixKeys + offset, caches[i]!.prefixValues + offset];
      this.#normalize(x, h, block.norm1, P);
      block.qkv.run(h, qkv, P);
      for (let p = 0; p < P; p++) this.#remember(qkv + 12 * p * C, { keys, values, count: p, room: P });
      // Of the last layer only the last output counts.
      const first = i === this.#blocks.length - 1 ? P - 1 : 0;
      const rows = P - first;
      for (let p = first; p < P; p++) {
        const before = { keys, values, count: p + 1, room: P };
        this.#attend(qkv + 12 * p * C, h + 4 * p * C, before, { ...before, count: 0 }, scores);
      }
      const [from, rest] = [h + 4 * first * C, x + 4 * first * C];
      block.project.run(from, rest, rows, THEN.add);
      this.#normalize(rest, from, block.norm2, rows);
      block.expand.run(from, wide, rows, THEN.gelu);
      block.contract.run(wide, rest, rows, THEN.add);
    });
    return this.#logits(x + 4 * (P - 1) * C, h, 1);
  }

  /** Feeds image token `t` of every sequence; gives the logits of the next. */
  #next(last: Int32Array, t: number): Float32Array {
    const arena = this.#arena;
    const { sequences, caches, places } = this.#decoding!;
    const [C, P, T, S] = [this.#width, this.#P, this.#T, last.length];
    const { x, h, qkv, wide } = this.#room(S);
    const scores = arena.allocate(P + T + 4);
    last.forEach((token, s) => {
      this.#embed(x + 4 * s * C, this.#imageEmbedding, token, P + t);
    });
    this.#blocks.forEach((block, i) => {
      const { prefixKeys, prefixValues, keys, values } = caches[i]!;
      this.#normalize(x, h, block.norm1, S);
      block.qkv.run(h, qkv, S);
      for (let s = 0; s < S; s++) {
        const place = places[s]!;
        const own = 4 * place * (T - 1) * C;
        const shared = 4 * sequences.of[place]! * P * C;
        const q = qkv + 12 * s * C;
        const past = { keys: keys + own, values: values + own, count: t, room: T - 1 };
        this.#remember(q, past);
        const prefix = { keys: prefixKeys + shared, values: prefixValues + shared, count: P, room: P };
        this.#attend(q, h + 4 * s * C, prefix, { ...past, count: t + 1 }, scores);
      }
      block.project.run(h, x, S, THEN.add);
      this.#normalize(x, h, block.norm2, S);
      block.expand.run(h, wide, S, THEN.gelu);
      block.contract.run(wide, x, S, THEN.add);
    });
    return this.#logits(x, h, S);
  }

  /** @param h room for as many numbers as `x` */
  #logits(x: number, h: number, rows: number): Float32Array {
    const y = this.#arena.allocate(rows * this.#head.outputs);
    this.#normalize(x, h, this.#norm, rows);
    this.#head.run(h, y, rows);
    return this.#arena.floats(y, rows * this.#head.outputs);
  }

  /** Room for what `rows` tokens need on their way through a layer. */
  #room(rows: number): Readonly<Record<"x" | "h" | "qkv" | "wide", number>> {
    const allocate = (width: number) => this.#arena.allocate(rows * width);
    const C = this.#width;
    return { x: allocate(C), h: allocate(C), qkv: allocate(3 * C), wide: allocate(4 * C) };
  }

  /** One query attends to the positions of both. */
  #attend(q: number, out: number, first: Past, second: Past, scores: number): void {
    const { keys: k1, values: v1, count: n1 } = first;
    const { keys: k2, values: v2, count: n2 } = second;
    const D = this.#width / this.#heads;
    const [across1, across2] = [4 * first.room * D, 4 * second.room * D];
    this.#arena.kernels.attend(q, out, k1, v1, n1, across1, k2, v2, n2, across2, this.#heads, D, scores);
  }

  /** Appends the key and the value of a token, which follow its query, to those that are there. */
  #remember(query: number, { keys, values, count, room }: Past): void {
    const [C, H] = [this.#width, this.#heads];
    const D = C / H;
    this.#arena.kernels.remember(query + 4 * C, keys + 4 * count * D, values + 4 * count * D, 4 * room * D, H, D);
  }

  #normalize(x: number, y: number, { weight, bias }: LayerNorm, rows: number): void {
    this.#arena.kernels.layerNorm(x, y, weight, bias, rows, this.#width, LAYER_EPSILON);
  }

  /** A token's features with those of its position added. */
  #embed(to: number, table: Float32Array, token: number, position: number): void {
    const C = this.#width;
    const features = this.#arena.floats(to, C);
    for (let i = 0; i < C; i++) features[i] = table[token * C + i]! + this.#positions[position * C + i]!;
  }
}
