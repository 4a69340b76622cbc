import { type Tensor, tensor } from "@iqvae/torch";
import type { TokenShape } from "../models/transformer.ts";

/** Tokens are small integers: two bytes hold all codebooks up to 65,536 codes. */
export type TokenArray = Uint16Array | Int32Array;

/** A split of the data as tokens, encoded once and kept as integers, row after row. */
export class TokenPairs {
  readonly count: number;
  readonly shape: TokenShape;
  /** `count × conditionTokens` */
  readonly conditions: TokenArray;
  /** `count × imageTokens` */
  readonly images: TokenArray;

  /** @throws RangeError when the arrays do not hold equally many whole rows, or a token lies outside its codebook. */
  constructor(shape: TokenShape, conditions: TokenArray, images: TokenArray) {
    this.shape = shape;
    this.conditions = conditions;
    this.images = images;
    this.count = rows("condition", conditions, shape.conditionTokens, shape.conditionCodes);
    const others = rows("image", images, shape.imageTokens, shape.imageCodes);
    if (others !== this.count)
      throw new RangeError(
        `TokenPairs got ${this.count} rows of condition tokens and ${others} of image tokens; there must be one of each for every pair`,
      );
  }

  /** Some of the rows, in the order given, as pairs of their own. */
  only(indices: ArrayLike<number>): TokenPairs {
    const taken = (table: TokenArray, width: number, codes: number): TokenArray => {
      const out = tokenArray(indices.length * width, codes);
      for (let i = 0; i < indices.length; i++)
        out.set(table.subarray(indices[i]! * width, (indices[i]! + 1) * width), i * width);
      return out;
    };
    const { conditionTokens, conditionCodes, imageTokens, imageCodes } = this.shape;
    return new TokenPairs(
      this.shape,
      taken(this.conditions, conditionTokens, conditionCodes),
      taken(this.images, imageTokens, imageCodes),
    );
  }

  /** The chosen rows as int64 tensors: `conditions [B, conditionTokens]`, `images [B, imageTokens]`. */
  batch(indices: ArrayLike<number>, device?: string): { conditions: Tensor; images: Tensor } {
    const { conditionTokens, imageTokens } = this.shape;
    return {
      conditions: this.#gather(this.conditions, conditionTokens, indices, device),
      images: this.#gather(this.images, imageTokens, indices, device),
    };
  }

  #gather(table: TokenArray, width: number, indices: ArrayLike<number>, device: string | undefined): Tensor {
    const out = new Int32Array(indices.length * width);
    for (let i = 0; i < indices.length; i++) {
      const row = indices[i]!;
      if (!(row >= 0 && row < this.count))
        throw new RangeError(`TokenPairs.batch was asked for row ${row}, but has rows 0 to ${this.count - 1}`);
      out.set(table.subarray(row * width, (row + 1) * width), i * width);
    }
    const options = device === undefined ? {} : { device };
    return tensor(out, { shape: [indices.length, width], ...options }).to("int64");
  }
}

function rows(kind: string, table: TokenArray, width: number, codes: number): number {
  if (table.length % width !== 0)
    throw new RangeError(`TokenPairs got ${table.length} ${kind} tokens, which are no whole rows of ${width}`);
  const wrong = table.findIndex((token) => token < 0 || token >= codes);
  if (wrong >= 0)
    throw new RangeError(
      `TokenPairs: ${kind} token ${table[wrong]} in row ${Math.floor(wrong / width)} lies outside the codebook of ${codes} codes; were the tokens made by another stage-1 model? Encode the data again`,
    );
  return table.length / width;
}

/** The smallest array type that holds the codes `0 … codes − 1`. */
export function tokenArray(length: number, codes: number): TokenArray {
  return codes <= 65_536 ? new Uint16Array(length) : new Int32Array(length);
}
