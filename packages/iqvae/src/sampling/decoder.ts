import { type LayerNorm, type Linear, ops, scope, type Tensor } from "@iqvae/torch";
import { attend, splitHeads } from "../models/attention.ts";
import type { Block, Transformer } from "../models/transformer.ts";
import { type DecodeCaches, decodeToken, packPanels } from "../support/kernels.ts";
import { onOneThread, ThreadChoice } from "./thread-choice.ts";

/** The dtype of weights and cache, and so of what is read for every token; activations and logits stay in float32. */
export type SamplingPrecision = "float32" | "bfloat16";

/** A matrix product, `[…, in]` → `[…, out]`, float32 on both sides. */
type Product = (x: Tensor) => Tensor;

/** One layer for whole sequences, and on other devices than the CPU for single tokens too. */
interface Layer {
  readonly norm1: LayerNorm;
  readonly norm2: LayerNorm;
  readonly qkv: Product;
  readonly project: Product;
  readonly expand: Product;
  readonly contract: Product;
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
  readonly #layers: Layer[];
  readonly #head: Product;
  /** What the fused kernel takes; `null` without it. */
  readonly #packed: readonly Tensor[] | null;
  readonly #threads = new ThreadChoice();

  /** @param fused tokens by the fused kernel of the CPU, else by libtorch's operators, as on other devices */
  constructor(model: Transformer, precision: SamplingPrecision, fused: boolean = model.head.weight.device === "cpu") {
    this.#model = model;
    this.#precision = precision;
    this.#layers = model.blocks.map(({ norm1, attention, norm2, expand, contract }) => ({
      norm1,
      norm2,
      qkv: product(attention.qkv, precision),
      project: product(attention.project, precision),
      expand: product(expand, precision),
      contract: product(contract, precision),
    }));
    this.#head = product(model.head, precision);
    this.#packed = fused ? packed(model, precision) : null;
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
    // One by one and on one thread, since the bits of a large product depend on how many rows and threads it has. A token takes
    // so much longer to draw than to read that little is lost, and nothing waits for threads on a busy machine.
    const read = Array.from({ length: N }, (_, i) =>
      scope(() => onOneThread(() => this.#read(conditions.slice(0, i, i + 1)))),
    );
    const caches = {
      prefixKeys: this.#layers.map((_, i) => ops.aten.cat(read.map((each) => each.keys[i]!))),
      prefixValues: this.#layers.map((_, i) => ops.aten.cat(read.map((each) => each.values[i]!))),
      keys: this.#layers.map(() => ops.aten.zeros([B, H, D, capacity], room)),
      values: this.#layers.map(() => ops.aten.zeros([B, H, capacity, D], room)),
    };
    return { caches, of, logits: ops.aten.cat(read.map((each) => each.logits)).index_select(0, of) };
  }

  /** One condition, `[1, P]`: keys and values of all layers, and the logits of image token 0. */
  #read(condition: Tensor): { keys: Tensor[]; values: Tensor[]; logits: Tensor } {
    const { config, positions, conditionEmbedding, norm } = this.#model;
    const P = condition.shape[1]!;
    const [keys, values]: [Tensor[], Tensor[]] = [[], []];
    let x = conditionEmbedding.forward(condition).add(positions.slice(0, 0, P)); // [1, P, C]
    this.#layers.forEach((layer, i) => {
      const [q, k, v] = splitHeads(layer.qkv(layer.norm1.forward(x)), config.heads).map((part) =>
        part.to(this.#precision),
      ) as [Tensor, Tensor, Tensor]; // [1, H, P, D]
      keys.push(k.transpose(2, 3).contiguous());
      values.push(v.contiguous());
      const first = i === this.#layers.length - 1 ? P - 1 : 0; // of the last layer only the last output counts
      const mixed = attend(q.slice(2, first), k, v)
        .transpose(1, 2)
        .reshape([1, P - first, config.width]);
      x = after(layer, x.slice(1, first), mixed);
    });
    return { keys, values, logits: this.#head(norm.forward(x.select(1, 0))) };
  }

  /**
   * Feeds image token `t` of every sequence.
   *
   * @param token int64 `[B]`
   * @returns the logits of image token `t + 1`, float32 `[B, imageCodes]`
   */
  next({ caches, of }: Decoding, token: Tensor, t: number): Tensor {
    const { imageEmbedding, positions, tokens, norm } = this.#model;
    const x = ops.aten.embedding(imageEmbedding.weight, token).add(positions.select(0, tokens.conditionTokens + t)); // [B, C]
    const packed = this.#packed;
    if (packed === null) return this.#plain(caches, of, x, t);
    const sizes = { codes: tokens.imageCodes, eps: norm.eps };
    return this.#threads.run(() => decodeToken(x, packed, caches, of, t, sizes));
  }

  /** The same from libtorch's operators. */
  #plain(caches: DecodeCaches, of: Tensor, embedded: Tensor, t: number): Tensor {
    const { config, norm } = this.#model;
    let x = embedded.unsqueeze(1); // [B, 1, C]
    this.#layers.forEach((layer, i) => {
      const [q, k, v] = splitHeads(layer.qkv(layer.norm1.forward(x)), config.heads) as [Tensor, Tensor, Tensor]; // [B, H, 1, D]
      const [keys, values] = [caches.keys[i]!, caches.values[i]!];
      keys.select(3, t).copy_(k.select(2, 0));
      values.select(2, t).copy_(v.select(2, 0));
      const allKeys = ops.aten.cat([caches.prefixKeys[i]!.index_select(0, of), keys.slice(3, 0, t + 1)], 3);
      const allValues = ops.aten.cat([caches.prefixValues[i]!.index_select(0, of), values.slice(2, 0, t + 1)], 2);
      const scores = q.div(Math.sqrt(q.shape[3]!)).to(this.#precision).matmul(allKeys);
      const mixed = scores.softmax(-1).matmul(allValues).transpose(1, 2).reshape(x.shape);
      x = after(layer, x, mixed);
    });
    return this.#head(norm.forward(x.select(1, 0)));
  }
}

/** A batch of sequences under way. */
export interface Decoding {
  /** Prefixes are those of each condition, once; the others those of each sequence's own image tokens. */
  readonly caches: DecodeCaches;
  readonly of: Tensor;
  /** Logits of image token 0, float32 `[B, imageCodes]`. */
  readonly logits: Tensor;
}

/** The rest of a layer, once attention has mixed the values. */
function after({ project, norm2, expand, contract }: Layer, x: Tensor, mixed: Tensor): Tensor {
  const attended = x.add(project(mixed));
  return attended.add(contract(ops.aten.gelu(expand(norm2.forward(attended)))));
}

function product(layer: Linear, precision: SamplingPrecision): Product {
  const weight = layer.weight.detach().to(precision);
  const bias = layer.bias?.detach().to(precision) ?? null;
  return (x) => ops.aten.linear(x.to(precision), weight, bias).to("float32");
}

/** The weights in the order and form of {@link decodeToken}. */
function packed({ blocks, norm, head }: Transformer, precision: SamplingPrecision): Tensor[] {
  const panels = (layer: Linear): Tensor => packPanels(layer.weight.detach().to(precision));
  const linear = (layer: Linear): Tensor[] => [
    panels(layer),
    layer.bias?.detach() ?? ops.aten.zeros([layer.weight.shape[0]!]),
  ];
  const affine = ({ weight, bias }: LayerNorm): Tensor[] => [weight.detach(), bias.detach()];
  const ofBlock = ({ norm1, attention, norm2, expand, contract }: Block): Tensor[] => [
    ...affine(norm1),
    ...linear(attention.qkv),
    ...linear(attention.project),
    ...affine(norm2),
    ...linear(expand),
    ...linear(contract),
  ];
  return [...blocks.flatMap(ofBlock), ...affine(norm), panels(head)];
}
