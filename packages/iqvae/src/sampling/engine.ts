import type { Answer, Engine, Question } from "@iqvae/runtime";
import { inferenceMode, ops, scope, type Tensor, tensor, unscoped } from "@iqvae/torch";
import type { IqVae } from "../models/iqvae.ts";
import type { Transformer } from "../models/transformer.ts";
import { inPlainMode, inPrecision, type Precision, samplingPrecision } from "../support/precision.ts";
import { CachedTransformer, type Decoding } from "./decoder.ts";
import { integers } from "./tokens.ts";

/** Both models, and what they draw. */
export interface DrawingModels {
  readonly iqvae: IqVae;
  readonly transformer: Transformer;
  readonly precision: Precision;
  /** Pixels a side of the images. */
  readonly size: number;
  /** Height and width of a condition's planes. */
  readonly planes: readonly [height: number, width: number];
}

/**
 * libtorch as an engine of `@iqvae/runtime`: whoever has others to answer meanwhile can draw with it token by token. It owns the
 * models from now on.
 */
export function torchEngine(models: DrawingModels): Engine {
  return new TorchEngine(models);
}

class TorchEngine implements Engine {
  readonly name = "libtorch";
  readonly #models: DrawingModels;
  readonly #precision: Precision;
  readonly #decoder: CachedTransformer;
  #decoding: Decoding | undefined;

  constructor(models: DrawingModels) {
    this.#models = models;
    this.#precision = samplingPrecision(models.precision);
    this.#decoder = inPlainMode(() => unscoped(() => new CachedTransformer(models.transformer, this.#precision)));
  }

  encode(planes: Float32Array): Int32Array {
    return this.#convolve(() => {
      const [height, width] = this.#models.planes;
      const pixels = tensor(planes, { shape: [1, height, width, planes.length / (height * width)] });
      const tokens = this.#models.iqvae.condition.encode(pixels.permute([0, 3, 1, 2])); // [1, h, w]
      return Int32Array.from(tokens.contiguous().read("int64"), Number);
    });
  }

  predict({ sequences: { conditions, of }, t, last }: Question): Answer {
    return inPlainMode(() => {
      if (t === 0) {
        this.#forget();
        // What survives the scope belongs to this object, which lets go of it when the next batch begins.
        this.#decoding = scope(() => {
          const rows = ops.aten.stack(conditions.map((tokens) => integers(tokens, "cpu")));
          return this.#decoder.start(rows, integers(of, "cpu"));
        });
      }
      const decoding = this.#decoding!;
      return scope(() => {
        const logits = t === 0 ? decoding.logits : this.#decoder.next(decoding, integers(last, "cpu"), t - 1);
        return logits.contiguous().read("float32");
      });
    });
  }

  keep(sequences: Int32Array): void {
    inPlainMode(() => {
      const before = this.#decoding!;
      this.#decoding = scope(() => {
        const rows = integers(sequences, "cpu");
        const { caches, of, logits } = before;
        const kept = (tensors: readonly Tensor[]) => tensors.map((each) => each.index_select(0, rows));
        return {
          // Prefixes are those of conditions, and so are shared by what is left.
          caches: { ...caches, keys: kept(caches.keys), values: kept(caches.values) },
          of: of.index_select(0, rows),
          logits: logits.index_select(0, rows),
          recorded: null,
        };
      });
      const { caches, of, logits } = before;
      for (const each of [...caches.keys, ...caches.values, of, logits]) each.dispose();
    });
  }

  decode(tokens: Int32Array, condition: Int32Array): Uint8Array {
    return this.#convolve(() => {
      const { iqvae, size } = this.#models;
      const own = integers(tokens, "cpu", [1, ...iqvae.image.gridFor([size, size])]);
      const given = iqvae.coupling === null ? null : integers(condition, "cpu", [1, ...iqvae.conditionGrid]);
      return iqvae.decodeImage(own, given).contiguous().read("uint8");
    });
  }

  release(): void {
    this.#forget();
    const { iqvae, transformer } = this.#models;
    for (const model of [iqvae, transformer]) for (const each of model.stateDict().values()) each.dispose();
  }

  #forget(): void {
    if (this.#decoding === undefined) return;
    const { caches, of, logits } = this.#decoding;
    for (const each of [...Object.values(caches).flat(), of, logits] as Tensor[]) each.dispose();
    this.#decoding = undefined;
  }

  /** As `ImageGenerator` runs it. */
  #convolve<T>(body: () => T): T {
    return scope(() => inferenceMode(() => inPrecision({ precision: this.#precision }, body)));
  }
}
