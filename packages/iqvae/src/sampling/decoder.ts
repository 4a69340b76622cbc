import { type DType, type LayerNorm, type Linear, ops, type Tensor } from "@iqvae/torch";
import { attend, splitHeads } from "../models/attention.ts";
import type { Transformer } from "../models/transformer.ts";

/** The dtype of matrix products and of the cache; the residual stream and the logits stay in float32. */
export type SamplingPrecision = "float32" | "bfloat16";

interface Affine {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
}

interface LayerWeights {
  readonly norm1: LayerNorm;
  readonly qkv: Affine;
  readonly project: Affine;
  readonly norm2: LayerNorm;
  readonly expand: Affine;
  readonly contract: Affine;
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

const EPS = 1e-5;

/**
 * A transformer that is given one token at a time and remembers keys and values. The tokens of a condition go through once,
 * and all of its samples attend to that one copy.
 *
 * It takes the model's weights as they are now. All its tensors belong to the scope in which it is made.
 */
export class Decoder {
  readonly #model: Transformer;
  readonly #dtype: DType;
  readonly #layers: LayerWeights[];
  readonly #head: Tensor;

  constructor(model: Transformer, precision: SamplingPrecision) {
    this.#model = model;
    this.#dtype = precision;
    const affine = (layer: Linear): Affine => ({
      weight: layer.weight.detach().to(precision),
      bias: layer.bias === null ? null : layer.bias.detach().to(precision),
    });
    this.#layers = model.blocks.map((block) => ({
      norm1: block.norm1,
      qkv: affine(block.attention.qkv),
      project: affine(block.attention.project),
      norm2: block.norm2,
      expand: affine(block.expand),
      contract: affine(block.contract),
    }));
    this.#head = affine(model.head).weight;
  }

  /**
   * Reads the conditions and makes room for the image tokens.
   *
   * @param conditions int64 `[N, conditionTokens]`
   * @param of int64 `[B]`: the condition of each sequence
   */
  start(conditions: Tensor, of: Tensor): Decoding {
    const { config, tokens, positions } = this.#model;
    const [N, P] = conditions.shape as [number, number];
    const B = of.shape[0]!;
    const [H, D] = [config.heads, config.width / config.heads];
    const room = { dtype: this.#dtype, device: conditions.device };
    const capacity = Math.max(1, tokens.imageTokens - 1);
    const caches: LayerCache[] = [];
    let x = this.#model.conditionEmbedding.forward(conditions).add(positions.slice(0, 0, P)); // [N, P, C]
    this.#layers.forEach((layer, i) => {
      const qkv = linear(this.#normalize(layer.norm1, x), layer.qkv);
      const [q, k, v] = splitHeads(qkv, H); // [N, H, P, D]
      caches.push({
        prefixKeys: k.transpose(2, 3).contiguous(),
        prefixValues: v.contiguous(),
        keys: ops.aten.zeros([B, H, D, capacity], room),
        values: ops.aten.zeros([B, H, capacity, D], room),
      });
      const first = i === this.#layers.length - 1 ? P - 1 : 0; // of the last layer only the last output counts
      const mixed = attend(q.slice(2, first), k, v)
        .transpose(1, 2)
        .reshape([N, P - first, config.width]);
      x = x.slice(1, first).add(linear(mixed, layer.project));
      const hidden = ops.aten.gelu(linear(this.#normalize(layer.norm2, x), layer.expand));
      x = x.add(linear(hidden, layer.contract));
    });
    const logits = ops.aten.linear(this.#normalize(this.#model.norm, x.select(1, x.shape[1]! - 1)), this.#head);
    return { caches, of, logits: logits.to("float32").index_select(0, of) };
  }

  #normalize(norm: LayerNorm, x: Tensor): Tensor {
    return norm.forward(x).to(this.#dtype);
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
    let h = this.#addNorm(x, null, layers[0]!.norm1);
    for (let i = 0; i < layers.length; i++) {
      const layer = layers[i]!;
      const cache = decoding.caches[i]!;
      const mixed = ops.iqvae.decode_attention(
        linear(h, layer.qkv),
        cache.prefixKeys,
        cache.prefixValues,
        cache.keys,
        cache.values,
        decoding.of,
        t,
      );
      h = this.#addNorm(x, linear(mixed, layer.project), layer.norm2);
      const hidden = ops.aten.gelu(linear(h, layer.expand));
      h = this.#addNorm(x, linear(hidden, layer.contract), layers[i + 1]?.norm1 ?? norm);
    }
    return ops.aten.linear(h, this.#head).to("float32");
  }

  /** Adds `y` to the residual stream `x` in place and returns the normalised sum in the dtype of the products. */
  #addNorm(x: Tensor, y: Tensor | null, norm: LayerNorm): Tensor {
    return ops.iqvae.add_norm_(x, y, norm.weight, norm.bias, EPS, this.#dtype);
  }
}

/** A batch of sequences under way. */
export interface Decoding {
  readonly caches: readonly LayerCache[];
  readonly of: Tensor;
  /** Logits of image token 0, float32 `[B, imageCodes]`. */
  readonly logits: Tensor;
}

function linear(x: Tensor, { weight, bias }: Affine): Tensor {
  return ops.aten.linear(x, weight, bias);
}
