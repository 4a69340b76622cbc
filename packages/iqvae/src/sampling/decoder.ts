import { type LayerNorm, type Linear, ops, scope, type Tensor } from "@iqvae/torch";
import { attend, splitHeads } from "../models/attention.ts";
import type { Block, Transformer } from "../models/transformer.ts";
import {
  blockedShape,
  blockKeys,
  type DecodeCaches,
  decodeToken,
  inLargePages,
  packPanels,
  panelLinear,
} from "../support/kernels.ts";
import {
  MOST_RECORDED,
  type Place,
  placeAt,
  placeOf,
  type Recorder,
  type Recording,
  recordingFor,
  usualRecorder,
} from "./recording.ts";
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
  /** GELU included. */
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
  readonly #recorder: Recorder | null;

  /**
   * @param options.fused by the fused kernels of the CPU, else by libtorch's operators, as on other devices
   * @param options.recorder what records the operators of a token; `null`: they are called for each
   */
  constructor(
    model: Transformer,
    precision: SamplingPrecision,
    options: { readonly fused?: boolean; readonly recorder?: Recorder | null } = {},
  ) {
    const { device } = model.head.weight;
    const { fused = device === "cpu", recorder = usualRecorder(device) } = options;
    this.#model = model;
    this.#precision = precision;
    this.#recorder = recorder;
    const panels = fused ? panelsOf(model, precision) : null;
    const product = (layer: Linear, gelu = false): Product =>
      panels === null ? plainProduct(layer, precision, gelu) : panelProduct(layer, panels.get(layer)!, gelu);
    this.#layers = model.blocks.map(({ norm1, attention, norm2, expand, contract }) => ({
      norm1,
      norm2,
      qkv: product(attention.qkv),
      project: product(attention.project),
      expand: product(expand, true),
      contract: product(contract),
    }));
    this.#head = product(model.head);
    this.#packed = panels === null ? null : inOrder(model, panels);
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
    const capacity = Math.max(1, tokens.imageTokens - 1);
    const fused = this.#packed !== null;
    const onGpu = conditions.device.startsWith("cuda");
    // One by one where the bits of a large product depend on how many rows it has; a GPU would wait for each.
    const parts = fused || onGpu ? [conditions] : Array.from({ length: N }, (_, i) => conditions.slice(0, i, i + 1));
    return scope(() => {
      const read = parts.map((part) => this.#read(part));
      const nothing = ops.aten.zeros([], { dtype: this.#precision, device: conditions.device });
      const prefixes = (of: "keys" | "values") =>
        this.#layers.map((_, i) => ops.aten.cat(read.map((each) => each[of][i]!)));
      const values = [B, H, capacity, D];
      const own = (shape: readonly number[]) => this.#layers.map(() => nothing.expand([...shape]));
      const caches = fused
        ? cachesOf(inLargePages([prefixes("keys"), prefixes("values"), own(blockedShape(values)), own(values)].flat()))
        : {
            ...NO_PREFIX,
            keys: whole(prefixes("keys"), of, own(values)),
            values: whole(prefixes("values"), of, own(values)),
          };
      const logits = ops.aten.cat(read.map((each) => each.logits)).index_select(0, of);
      const recorded = this.#recorder !== null && B <= MOST_RECORDED ? recordingFor(of, logits) : null;
      return { caches, of, logits, recorded };
    });
  }

  /** Conditions `[N, P]`: keys and values of all layers, and the logits of image token 0. */
  #read(conditions: Tensor): { keys: Tensor[]; values: Tensor[]; logits: Tensor } {
    const { config, positions, conditionEmbedding, norm } = this.#model;
    const P = conditions.shape[1]!;
    const [keys, values]: [Tensor[], Tensor[]] = [[], []];
    let x = conditionEmbedding.forward(conditions).add(positions.slice(0, 0, P)); // [N, P, C]
    this.#layers.forEach((layer, i) => {
      const qkv = layer.qkv(layer.norm1.forward(x));
      const [q, k, v] = splitHeads(qkv, config.heads).map((part) => part.to(this.#precision)) as [
        Tensor,
        Tensor,
        Tensor,
      ]; // [N, H, P, D]
      keys.push(this.#packed === null ? k : blockKeys(k));
      values.push(v);
      const first = i === this.#layers.length - 1 ? P - 1 : 0; // of the last layer only the last output counts
      const mixed = this.#packed === null ? joined(attend(q.slice(2, first), k, v)) : this.#attend(qkv, first);
      x = after(layer, x.slice(1, first), mixed);
    });
    return { keys, values, logits: this.#head(norm.forward(x.select(1, 0))) };
  }

  /** Every head on a thread of its own: a single one could be shared by threads, and its bits depend on how many. */
  #attend(qkv: Tensor, first: number): Tensor {
    const { heads } = this.#model.config;
    const mix = () => ops.fused.causal_attention(qkv, heads, first);
    return heads === 1 ? onOneThread(mix) : mix();
  }

  /**
   * Feeds image token `t` of every sequence.
   *
   * @param token int64 `[B]`
   * @returns the logits of image token `t + 1`, float32 `[B, imageCodes]`; on a GPU they are overwritten by the next call
   */
  next({ caches, of, recorded }: Decoding, token: Tensor, t: number): Tensor {
    const { imageEmbedding, positions, tokens, norm } = this.#model;
    const at = tokens.conditionTokens + t;
    if (recorded !== null) return this.#replayed(caches, recorded, token, at);
    const x = ops.aten.embedding(imageEmbedding.weight, token).add(positions.select(0, at)); // [B, C]
    const packed = this.#packed;
    if (packed === null) return this.#plain(x, placeAt(caches, at));
    const sizes = { codes: tokens.imageCodes, eps: norm.eps };
    return this.#threads.run(() => decodeToken(x, packed, caches, of, t, sizes));
  }

  /** Lets go of what a batch has that is not a tensor. */
  end({ recorded }: Decoding): void {
    recorded?.graph?.dispose();
  }

  /** The same as one launch, whose calls were recorded with the first token. */
  #replayed(caches: DecodeCaches, recorded: Recording, token: Tensor, at: number): Tensor {
    recorded.token.copy_(token);
    recorded.at.fill_(at);
    recorded.graph ??= this.#recorder!(token.device, () => {
      const { imageEmbedding, positions } = this.#model;
      const x = ops.aten.embedding(imageEmbedding.weight, recorded.token).add(positions.index_select(0, recorded.at));
      recorded.logits.copy_(this.#plain(x, placeOf(caches, recorded.at)));
    });
    recorded.graph.replay();
    return recorded.logits;
  }

  /** The same from libtorch's operators, as few as can be: a GPU waits for each. */
  #plain(embedded: Tensor, place: Place): Tensor {
    const { config, norm } = this.#model;
    let x = embedded.unsqueeze(1); // [B, 1, C]
    this.#layers.forEach((layer, i) => {
      const [q, k, v] = splitHeads(layer.qkv(layer.norm1.forward(x)), config.heads) as [Tensor, Tensor, Tensor]; // [B, H, 1, D]
      const [key, value] = [k.to(this.#precision), v.to(this.#precision)];
      x = after(layer, x, joined(place.attend(i, q.to(this.#precision), key, value)));
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
  /** Where the operators of a token are recorded. */
  readonly recorded: Recording | null;
}

/** Of a decoder without the fused kernel, whose rows follow those of the condition. */
const NO_PREFIX = { prefixKeys: [], prefixValues: [] } as const;

/** Those of each sequence's condition `[N, H, P, D]`, and room for its own: `[B, H, P + capacity, D]`, layer by layer. */
function whole(prefixes: readonly Tensor[], of: Tensor, own: readonly Tensor[]): Tensor[] {
  return prefixes.map((prefix, i) => ops.aten.cat([prefix.index_select(0, of), own[i]!], 2));
}

/** Four lists of a layer each, one after the other. */
function cachesOf(all: readonly Tensor[]): DecodeCaches {
  const [prefixKeys, prefixValues, keys, values] = [0, 1, 2, 3].map((part) =>
    all.slice((part * all.length) / 4, ((part + 1) * all.length) / 4),
  ) as [Tensor[], Tensor[], Tensor[], Tensor[]];
  return { prefixKeys, prefixValues, keys, values };
}

/** Heads side by side: `[B, H, n, D]` → `[B, n, C]`. */
function joined(mixed: Tensor): Tensor {
  const [B, H, n, D] = mixed.shape as [number, number, number, number];
  return mixed.transpose(1, 2).reshape([B, n, H * D]);
}

/** The rest of a layer, once attention has mixed the values. */
function after({ project, norm2, expand, contract }: Layer, x: Tensor, mixed: Tensor): Tensor {
  const attended = x.add(project(mixed));
  return attended.add(contract(expand(norm2.forward(attended))));
}

function plainProduct(layer: Linear, precision: SamplingPrecision, gelu: boolean): Product {
  const weight = layer.weight.detach().to(precision);
  const bias = layer.bias?.detach().to(precision) ?? null;
  const product: Product = (x) => ops.aten.linear(x.to(precision), weight, bias).to("float32");
  return gelu ? (x) => ops.aten.gelu(product(x)) : product;
}

function panelProduct(layer: Linear, panels: Tensor, gelu: boolean): Product {
  const bias = layer.bias?.detach() ?? null;
  const outputs = layer.weight.shape[0]!;
  return (x) => panelLinear(x.contiguous(), panels, bias, { outputs, gelu });
}

const productsOf = ({ attention, expand, contract }: Block): Linear[] => [
  attention.qkv,
  attention.project,
  expand,
  contract,
];

/** All weights in panels, in the order in which a token goes through them. */
function panelsOf({ blocks, head }: Transformer, precision: SamplingPrecision): Map<Linear, Tensor> {
  const layers = [...blocks.flatMap(productsOf), head];
  const panels = scope(() => inLargePages(layers.map((layer) => packPanels(layer.weight.detach().to(precision)))));
  return new Map(layers.map((layer, i) => [layer, panels[i]!]));
}

/** The weights in the order and form of {@link decodeToken}. */
function inOrder({ blocks, norm, head }: Transformer, panels: ReadonlyMap<Linear, Tensor>): Tensor[] {
  const linear = (layer: Linear): Tensor[] => [
    panels.get(layer)!,
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
  return [...blocks.flatMap(ofBlock), ...affine(norm), panels.get(head)!];
}
