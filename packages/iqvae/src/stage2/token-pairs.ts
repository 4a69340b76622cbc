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

  /** The chosen rows, in the order given, as pairs of their own. @throws RangeError for rows that there are not */
  subset(indices: ArrayLike<number>): TokenPairs {
    this.#check("subset", indices);
    const { conditionTokens, conditionCodes, imageTokens, imageCodes } = this.shape;
    const room = (width: number, codes: number) => tokenArray(indices.length * width, codes);
    return new TokenPairs(
      this.shape,
      this.#copy(this.conditions, conditionTokens, indices, room(conditionTokens, conditionCodes)),
      this.#copy(this.images, imageTokens, indices, room(imageTokens, imageCodes)),
    );
  }

  /** The chosen rows as int64 tensors: `conditions [B, conditionTokens]`, `images [B, imageTokens]`. */
  batch(indices: ArrayLike<number>, device?: string): { conditions: Tensor; images: Tensor } {
    this.#check("batch", indices);
    const { conditionTokens, imageTokens } = this.shape;
    return {
      conditions: this.#gather(this.conditions, conditionTokens, indices, device),
      images: this.#gather(this.images, imageTokens, indices, device),
    };
  }

  #gather(table: TokenArray, width: number, indices: ArrayLike<number>, device: string | undefined): Tensor {
    const out = this.#copy(table, width, indices, new Int32Array(indices.length * width));
    const options = device === undefined ? {} : { device };
    return tensor(out, { shape: [indices.length, width], ...options }).to("int64");
  }

  #check(method: string, indices: ArrayLike<number>): void {
    for (const row of Array.from(indices))
      if (!(row >= 0 && row < this.count))
        throw new RangeError(`TokenPairs.${method} was asked for row ${row}, but has rows 0 to ${this.count - 1}`);
  }

  #copy<T extends TokenArray>(table: TokenArray, width: number, indices: ArrayLike<number>, out: T): T {
    for (let i = 0; i < indices.length; i++) {
      const row = indices[i]!;
      out.set(table.subarray(row * width, (row + 1) * width), i * width);
    }
    return out;
  }
}

function rows(kind: string, table: TokenArray, width: number, codes: number): number {
  if (table.length % width !== 0)
    throw new RangeError(`TokenPairs got ${table.length} ${kind} tokens, which do not fill whole rows of ${width}`);
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
