import { ops, scope, type Tensor, unscoped } from "@iqvae/torch";

/** Mean `[D]` and covariance `[D, D]` of feature vectors, float64. */
export interface FeatureMoments {
  readonly count: number;
  readonly mean: Tensor;
  readonly covariance: Tensor;
}

/**
 * Mean and covariance of feature vectors that arrive batch by batch, in float64. Batches are joined by their means (Chan, Golub
 * & LeVeque 1983, eq. 2.1), since the difference of two sums of squares would lose the digits that features with a large mean
 * have in common.
 */
export class MomentsStream implements Disposable {
  #count = 0;
  #mean: Tensor;
  #scatter: Tensor;

  /** @param dims length of a feature vector, `D` */
  constructor(dims: number) {
    [this.#mean, this.#scatter] = unscoped(() => [
      ops.aten.zeros([dims], { dtype: "float64" }),
      ops.aten.zeros([dims, dims], { dtype: "float64" }),
    ]) as [Tensor, Tensor];
  }

  /** @param features `[B, D]` of any floating type */
  add(features: Tensor): void {
    const [B, D] = features.shape as [number, number];
    if (features.ndim !== 2 || D !== this.#mean.shape[0])
      throw new RangeError(
        `MomentsStream of ${this.#mean.shape[0]} dimensions takes [B, D] features, but got ${features}.`,
      );
    if (B === 0) return;
    scope(() => {
      const x = features.to("float64");
      const mean = x.mean([0]);
      const centered = x.sub(mean);
      const apart = mean.sub(this.#mean);
      const total = this.#count + B;
      this.#scatter.add_(centered.t().mm(centered));
      this.#scatter.add_(ops.aten.outer(apart, apart), { alpha: (this.#count * B) / total });
      this.#mean.add_(apart, { alpha: B / total });
      this.#count = total;
    });
  }

  /**
   * The moments so far; the covariance is the unbiased one, as numpy's `cov` and pytorch-fid have it.
   *
   * @throws RangeError when fewer than two vectors came
   */
  moments(): FeatureMoments {
    if (this.#count < 2)
      throw new RangeError(`a covariance takes at least 2 images, but there are ${this.#count}; raise the count.`);
    return { count: this.#count, mean: this.#mean.clone(), covariance: this.#scatter.div(this.#count - 1) };
  }

  [Symbol.dispose](): void {
    this.#mean.dispose();
    this.#scatter.dispose();
  }
}

/** The moments of feature vectors that are all there, `[N, D]`. */
export function momentsOf(features: Tensor): FeatureMoments {
  using stream = new MomentsStream(features.shape[1] ?? 0);
  stream.add(features);
  return stream.moments();
}
