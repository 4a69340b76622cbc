import { type LayerNorm, type Linear, ops, scope, type Tensor } from "@iqvae/torch";
import { attend, splitHeads } from "../models/attention.ts";
import type { Transformer } from "../models/transformer.ts";
import { addNorm_, decodeAttention, packPanels, panelLinear } from "../support/kernels.ts";

/** The dtype of weights and cache, and so of what is read for every token; activations and logits stay in float32. */
export type SamplingPrecision = "float32" | "bfloat16";

/** A matrix product ready for sampling, `[B, in]` → `[B, out]`, float32 on both sides. */
type Product = (x: Tensor) => Tensor;

/** One layer: `wide` products run over whole sequences, the others over one token of each. */
interface LayerWeights {
  readonly norm1: LayerNorm;
  readonly norm2: LayerNorm;
  readonly wide: Readonly<Record<"qkv" | "project" | "expand" | "contract", Product>>;
  readonly qkv: Product;
  readonly project: Product;
  /** Followed by GELU. */
  readonly expand: Product;
  readonly contract: Product;
}

/** Keys and values of one layer: those of each condition once, and those of each sequence's own image tokens. */
interface LayerCache {
  /** `[N, H, D, conditionTokens]` */
  readonly prefixKeys: Tensor;
  /** `[N, H, conditionTokens, D]` */
  readonly prefixValues: Tensor;
  /** `[B, H, D, imageTokens − 1]` */
  readonly keys: Tensor;
  /** `[B, H, imageTokens − 1, D]` */
  readonly values: Tensor;
}

/**
 * A transformer that is given one token at a time and remembers keys and values. The tokens of a condition go through once,
 * and all of its samples attend to that one copy.
 *
 * It takes the model's weights as they are now. All its tensors belong to the scope in which it is made.
 */
export class CachedTransformer {
  readonly #model: Transformer;
  readonly #precision: SamplingPrecision;
  readonly #layers: LayerWeights[];
  readonly #head: Product;

  constructor(model: Transformer, precision: SamplingPrecision) {
    this.#model = model;
    this.#precision = precision;
    this.#layers = model.blocks.map(({ norm1, attention, norm2, expand, contract }) => {
      const { qkv, project } = attention;
      return {
        norm1,
        norm2,
        wide: {
          qkv: wideProduct(qkv, precision),
          project: wideProduct(project, precision),
          expand: wideProduct(expand, precision),
          contract: wideProduct(contract, precision),
        },
        qkv: product(qkv, precision),
        project: product(project, precision),
        expand: product(expand, precision, true),
        contract: product(contract, precision),
      };
    });
    this.#head = product(model.head, precision);
  }

  /**
   * Reads the conditions and makes room for the image tokens.
   *
   * @param conditions int64 `[N, conditionTokens]`
   * @param of int64 `[B]`: the condition of each sequence
   */
  start(conditions: Tensor, of: Tensor): Decoding {
    const { config, tokens } = this.#model;
    const [N] = conditions.shape as [number];
    const [B] = of.shape as [number];
    const [H, D] = [config.heads, config.width / config.heads];
    const room = { dtype: this.#precision, device: conditions.device };
    const capacity = Math.max(1, tokens.imageTokens - 1);
    // One by one, since the bits of a large product may depend on how many rows it has.
    const read = Array.from({ length: N }, (_, i) => scope(() => this.#read(conditions.slice(0, i, i + 1))));
    const caches = this.#layers.map((_, i) => ({
      prefixKeys: ops.aten.cat(read.map((each) => each.keys[i]!)),
      prefixValues: ops.aten.cat(read.map((each) => each.values[i]!)),
      keys: ops.aten.zeros([B, H, D, capacity], room),
      values: ops.aten.zeros([B, H, capacity, D], room),
    }));
    return { caches, of, logits: ops.aten.cat(read.map((each) => each.logits)).index_select(0, of) };
  }

  /** One condition, `[1, P]`: keys and values of all layers, and the logits of image token 0. */
  #read(condition: Tensor): { keys: Tensor[]; values: Tensor[]; logits: Tensor } {
    const { config, positions, conditionEmbedding, norm } = this.#model;
    const P = condition.shape[1]!;
    const [keys, values]: [Tensor[], Tensor[]] = [[], []];
    let x = conditionEmbedding.forward(condition).add(positions.slice(0, 0, P)); // [1, P, C]
    this.#layers.forEach(({ norm1, norm2, wide }, i) => {
      const [q, k, v] = splitHeads(wide.qkv(norm1.forward(x)), config.heads).map((part) =>
        part.to(this.#precision),
      ) as [Tensor, Tensor, Tensor]; // [1, H, P, D]
      keys.push(k.transpose(2, 3).contiguous());
      values.push(v.contiguous());
      const first = i === this.#layers.length - 1 ? P - 1 : 0; // of the last layer only the last output counts
      const mixed = attend(q.slice(2, first), k, v)
        .transpose(1, 2)
        .reshape([1, P - first, config.width]);
      x = x.slice(1, first).add(wide.project(mixed));
      x = x.add(wide.contract(ops.aten.gelu(wide.expand(norm2.forward(x)))));
    });
    return { keys, values, logits: this.#head(norm.forward(x.select(1, 0))) };
  }

  /**
   * Feeds image token `t` of every sequence.
   *
   * @param token int64 `[B]`
   * @returns the logits of image token `t + 1`, float32 `[B, imageCodes]`
   */
  next(decoding: Decoding, token: Tensor, t: number): Tensor {
    const { imageEmbedding, positions, tokens, norm } = this.#model;
    const layers = this.#layers;
    const x = ops.aten.embedding(imageEmbedding.weight, token).add(positions.select(0, tokens.conditionTokens + t)); // [B, C]
    let h = addNorm(x, null, layers[0]!.norm1);
    for (let i = 0; i < layers.length; i++) {
      const layer = layers[i]!;
      const { prefixKeys, prefixValues, keys, values } = decoding.caches[i]!;
      const { of } = decoding;
      const mixed = decodeAttention(layer.qkv(h), prefixKeys, prefixValues, keys, values, of, t);
      h = addNorm(x, layer.project(mixed), layer.norm2);
      h = addNorm(x, layer.contract(layer.expand(h)), layers[i + 1]?.norm1 ?? norm);
    }
    return this.#head(h);
  }
}

/** A batch of sequences under way. */
export interface Decoding {
  readonly caches: readonly LayerCache[];
  readonly of: Tensor;
  /** Logits of image token 0, float32 `[B, imageCodes]`. */
  readonly logits: Tensor;
}

/** Adds `y` to the residual stream `x` in place and returns the normalized sum. */
function addNorm(x: Tensor, y: Tensor | null, norm: LayerNorm): Tensor {
  return addNorm_(x, y, norm.weight, norm.bias, norm.eps);
}

/** libtorch's product, the fastest for many rows. */
function wideProduct(layer: Linear, precision: SamplingPrecision): Product {
  const weight = layer.weight.detach().to(precision);
  const bias = layer.bias?.detach().to(precision) ?? null;
  return (x) => ops.aten.linear(x.to(precision), weight, bias).to("float32");
}

/** The fastest product for a few rows, optionally followed by GELU. */
function product(layer: Linear, precision: SamplingPrecision, gelu = false): Product {
  if (layer.weight.device !== "cpu") {
    const plain = wideProduct(layer, precision);
    return gelu ? (x) => ops.aten.gelu(plain(x)) : plain;
  }
  const panels = packPanels(layer.weight.detach().to(precision));
  const bias = layer.bias?.detach() ?? null;
  const outputs = layer.weight.shape[0]!;
  return (x) => panelLinear(x, panels, bias, outputs, gelu);
}
