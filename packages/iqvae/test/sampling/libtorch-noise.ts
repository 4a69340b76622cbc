import { Generator, ops, type Tensor } from "@iqvae/torch";

/** The noise of one sequence as libtorch draws and computes it: what that of `@iqvae/runtime` is compared with. */
export class LibtorchNoise {
  readonly #generator: Generator;
  readonly #codes: number;

  constructor(seed: number, codes: number) {
    this.#generator = new Generator(BigInt(seed));
    this.#codes = codes;
  }

  /** Gumbel noise of the next step, float32 `[1, codes]`. */
  next(): Tensor {
    const uniform = ops.aten
      .empty([1, this.#codes], { dtype: "float64" })
      .uniform_(0, 1, { generator: this.#generator });
    const exponential = uniform.neg().log1p().neg().to("float32");
    return exponential.clamp_min(1e-30).log().neg();
  }
}
