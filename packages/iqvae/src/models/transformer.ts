import {
  dropoutAdd,
  Embedding,
  LayerNorm,
  Linear,
  Module,
  noGrad,
  ops,
  parameter,
  scope,
  type Tensor,
} from "@iqvae/torch";
import { CausalAttention } from "./attention.ts";

/** The size of the network. */
export interface TransformerConfig {
  readonly layers: number;
  /** Features of a token; a multiple of `heads`. */
  readonly width: number;
  readonly heads: number;
  /** Share of values dropped in training, in `[0, 1)`, after the embedding and after every attention and MLP. */
  readonly dropout: number;
  /**
   * Whether the model can also be asked for images without any condition, which classifier-free guidance needs. It then has
   * one more condition token: {@link Transformer.absent}. Default false.
   */
  readonly unconditional?: boolean;
}

/** What the two tokenizers of stage 1 give: numbers of codes and tokens. */
export interface TokenShape {
  readonly conditionCodes: number;
  readonly imageCodes: number;
  readonly conditionTokens: number;
  readonly imageTokens: number;
}

/** One layer: attention, then a two-layer perceptron, each on normalized input and added to what came in. */
export class Block extends Module {
  readonly norm1: LayerNorm;
  readonly attention: CausalAttention;
  readonly norm2: LayerNorm;
  readonly expand: Linear;
  readonly contract: Linear;
  readonly #dropout: number;

  constructor(config: Pick<TransformerConfig, "width" | "heads" | "dropout">) {
    super();
    const { width, heads } = config;
    this.norm1 = new LayerNorm(width);
    this.attention = new CausalAttention(width, heads);
    this.norm2 = new LayerNorm(width);
    this.expand = new Linear(width, 4 * width);
    this.contract = new Linear(4 * width, width);
    this.#dropout = config.dropout;
  }

  /** `[B, T, C]` → `[B, T − first, C]`: only the positions from `first` on are computed to the end. */
  forward(x: Tensor, training: boolean, first = 0): Tensor {
    const join = (change: Tensor, kept: Tensor): Tensor => dropoutAdd(change, kept, training ? this.#dropout : 0);
    // In a scope: what the way back does not need can go at once, which is about half.
    return scope(() => {
      const kept = first === 0 ? x : x.slice(1, first);
      const attended = join(this.attention.forward(this.norm1.forward(x), first), kept);
      const hidden = ops.aten.gelu(this.expand.forward(this.norm2.forward(attended)));
      return join(this.contract.forward(hidden), attended);
    });
  }
}

/**
 * A decoder-only transformer over `[condition tokens ; image tokens]` in raster order, the layout of taming-transformers
 * (Esser et al. 2021), with GPT-2's layers and initialization (Radford et al. 2019): learned positions, normalization before
 * each part, GELU.
 *
 * The two kinds of tokens have tables of their own, and only image tokens are predicted: the logits of image token `t`
 * come from position `conditionTokens + t − 1`. The last image token is never an input.
 */
export class Transformer extends Module {
  readonly config: TransformerConfig;
  readonly tokens: TokenShape;
  readonly conditionEmbedding: Embedding;
  readonly imageEmbedding: Embedding;
  readonly positions: Tensor;
  readonly blocks: Block[];
  readonly norm: LayerNorm;
  readonly head: Linear;

  /** @throws RangeError when a size is not a positive whole number, or `width` no multiple of `heads`. */
  constructor(config: TransformerConfig, tokens: TokenShape) {
    super();
    checkSizes(config, tokens);
    this.config = config;
    this.tokens = tokens;
    const { width, layers, unconditional = false } = config;
    this.conditionEmbedding = new Embedding(tokens.conditionCodes + (unconditional ? 1 : 0), width, {
      std: INITIAL_STD,
    });
    this.imageEmbedding = new Embedding(tokens.imageCodes, width, { std: INITIAL_STD });
    this.positions = parameter([tokens.conditionTokens + tokens.imageTokens - 1, width], (table) =>
      table.normal_(0, INITIAL_STD),
    );
    this.blocks = Array.from({ length: layers }, () => new Block(config));
    this.norm = new LayerNorm(width);
    this.head = new Linear(width, tokens.imageCodes, { bias: false });
    noGrad(() => this.#initialize());
  }

  /**
   * The token that stands in every place of a condition that is left out, with a learned embedding of its own: the code
   * after the last. `undefined` for a model that was made without it.
   */
  get absent(): number | undefined {
    return this.config.unconditional ? this.tokens.conditionCodes : undefined;
  }

  /** GPT-2's: normal with deviation 0.02, biases 0; what is added to the residual path shrinks with its 2·layers additions. */
  #initialize(): void {
    const residual = INITIAL_STD / Math.sqrt(2 * this.config.layers);
    const fill = (layer: Linear, std: number): void => {
      layer.weight.normal_(0, std);
      layer.bias?.zero_();
    };
    for (const block of this.blocks) {
      fill(block.attention.qkv, INITIAL_STD);
      fill(block.attention.project, residual);
      fill(block.expand, INITIAL_STD);
      fill(block.contract, residual);
    }
    fill(this.head, INITIAL_STD);
  }

  /**
   * Logits under teacher forcing.
   *
   * @param condition integers `[B, conditionTokens]` in `[0, conditionCodes)`, or {@link absent} throughout
   * @param image the first `n` image tokens, integers `[B, n]` in `[0, imageCodes)`, `0 ≤ n < imageTokens`
   * @returns `[B, n + 1, imageCodes]`: row `t` is the prediction of image token `t` from all tokens before it
   * @throws RangeError when the numbers of tokens do not fit the model
   */
  forward(condition: Tensor, image: Tensor, options: { training?: boolean } = {}): Tensor {
    return this.forwardEmbedded(condition, this.imageEmbedding.forward(image), options);
  }

  /** Like {@link forward}, with the embeddings of the image tokens `[B, n, width]` in place of the tokens. */
  forwardEmbedded(condition: Tensor, image: Tensor, options: { training?: boolean } = {}): Tensor {
    const training = options.training ?? false;
    const [, given] = condition.shape as [number, number];
    const [, n] = image.shape as [number, number];
    this.#checkLength(given, n);
    const embedded = ops.aten.cat([this.conditionEmbedding.forward(condition), image], 1);
    let x = embedded.add(this.positions.slice(0, 0, given + n)); // [B, T, C]
    if (training) x = dropoutAdd(x, null, this.config.dropout);
    // Nobody looks at the condition's outputs of the last layer: there they serve as keys and values only.
    this.blocks.forEach((block, i) => {
      x = block.forward(x, training, i === this.blocks.length - 1 ? given - 1 : 0);
    });
    return this.head.forward(this.norm.forward(x)); // [B, n + 1, imageCodes]
  }

  #checkLength(condition: number, image: number): void {
    const { conditionTokens, imageTokens } = this.tokens;
    if (condition !== conditionTokens)
      throw new RangeError(
        `Transformer.forward got ${condition} condition tokens, but the model is made for ${conditionTokens}; encode the condition with the stage-1 model that this transformer was trained with`,
      );
    if (image >= imageTokens)
      throw new RangeError(
        `Transformer.forward got ${image} image tokens; at most ${imageTokens - 1} of the model's ${imageTokens} are inputs, since the last is only predicted: leave it out`,
      );
  }
}

/**
 * How surprising each image token is: `−log p(x_t | c, x_<t)` in nats.
 *
 * @param logits `[B, n, imageCodes]`, of any floating type
 * @param images the tokens that they predict, int64 `[B, n]`
 * @returns float32 `[B, n]`
 */
export function tokenCrossEntropy(logits: Tensor, images: Tensor): Tensor {
  // 0: the values of the tokens are not reduced to one.
  return ops.aten
    .cross_entropy_loss(logits.flatten(0, 1).to("float32"), images.flatten(), null, 0)
    .reshape(images.shape);
}

/**
 * {@link tokenCrossEntropy} of whole images under their conditions, under teacher forcing.
 *
 * @param conditions int64 `[B, conditionTokens]`
 * @param images int64 `[B, imageTokens]`
 * @returns float32 `[B, imageTokens]`; the sum over a row is the negative log-likelihood of the image's tokens
 */
export function imageSurprise(model: Transformer, conditions: Tensor, images: Tensor): Tensor {
  return tokenCrossEntropy(model.forward(conditions, images.slice(1, 0, images.shape[1]! - 1)), images);
}

const INITIAL_STD = 0.02;

function checkSizes(config: TransformerConfig, tokens: TokenShape): void {
  const { dropout, unconditional: _, ...sizes } = config;
  for (const [name, value] of Object.entries({ ...sizes, ...tokens }))
    if (!Number.isInteger(value) || value < 1)
      throw new RangeError(`Transformer: ${name} must be a whole number of at least 1, but is ${value}`);
  if (config.width % config.heads !== 0)
    throw new RangeError(
      `Transformer: width ${config.width} does not divide into ${config.heads} heads; take a width that is a multiple of the heads`,
    );
  if (!(dropout >= 0 && dropout < 1)) throw new RangeError(`Transformer: dropout must be in [0, 1), but is ${dropout}`);
}
