import { ops, scope, type Tensor } from "@iqvae/torch";
import { type Distance, distances, unitRows } from "./distances.ts";
import { checkFeatures, checkFinite, type Estimator, fullPrecision, widened } from "./estimator.ts";

export interface PairedOptions {
  /** Default `cosine`. */
  readonly distance?: Distance;
  /**
   * How many blocks of equally many rows, one after the other, `zX` and `zC` consist of: only rows of one block are compared with
   * each other. Default 1: all with all.
   */
  readonly blocks?: number;
}

/**
 * Gromov–Wasserstein with the coupling given: row `i` of one side belongs to row `i` of the other, `T = I/n`, so
 *
 *     mean over i, k of (D_X(i,k) − D_C(i,k))²
 *
 * and the mean over the blocks, where there are several. An upper bound of the Gromov–Wasserstein discrepancy for uniform
 * weights, which takes the best coupling. Needs `n = m`. Invariant under what keeps all distances of a side.
 *
 * `cosine` and `sqeuclidean` cost `O(n d²)` by {@link gramDifference}; `euclidean` goes through all pairs, `O(n² d)`.
 *
 * @throws RangeError when the rows cannot be divided by `blocks`
 */
export function paired({ distance = "cosine", blocks = 1 }: PairedOptions = {}): Estimator {
  return (zX, zC) => {
    checkFeatures("paired()", zX, zC, true);
    const n = zX.shape[0]!;
    if (n % blocks !== 0) throw new RangeError(`paired() of ${blocks} blocks of equally many rows got ${n} rows`);
    return scope(() =>
      fullPrecision(zX.device, () => {
        const [x, c] = [widened(zX), widened(zC)].map((z) => z.reshape([blocks, n / blocks, z.shape[1]!])); // [b, n/b, d]
        return checkFinite("paired()", meanSquare(x!, c!, distance), zX, zC);
      }),
    );
  };
}

/** `[b, n, d]` and `[b, n, d′]` → the mean over blocks and pairs of `(D_X − D_C)²`. */
function meanSquare(x: Tensor, c: Tensor, distance: Distance): Tensor {
  if (distance === "cosine") return gramDifference(unitRows(x), unitRows(c));
  if (distance === "sqeuclidean") return squaredDistanceDifference(x, c);
  const means = Array.from({ length: x.shape[0]! }, (_, block) => {
    const [dX, dC] = [x, c].map((side) => distances(side.select(0, block), distance));
    return dX!.sub(dC!).square().mean();
  });
  return ops.aten.stack(means).mean();
}

/**
 * How much the Gram matrices of two sides differ, without either of them: for rows x_i and c_i, and M_AB = AᵀB/n,
 *
 *     mean over i, k of (⟨x_i,x_k⟩ − ⟨c_i,c_k⟩)² = ‖M_XX‖² + ‖M_CC‖² − 2‖M_XC‖²        (Frobenius)
 *
 * since Σ_ik ⟨a_i,a_k⟩⟨b_i,b_k⟩ = ‖Σ_i a_i b_iᵀ‖². The first two terms ask for features that are spread over all directions, the
 * third for features of the two sides that depend on each other (linear HSIC without centering). For unit rows, 1 − cos in
 * place of the products changes nothing, so it is the paired estimator of the cosine distance, in `O(n d²)` and not `O(n² d)`.
 *
 * @param x `[b, n, d]`, `b` blocks
 * @param c `[b, n, d′]`
 * @returns the mean over blocks, at least 0
 */
function gramDifference(x: Tensor, c: Tensor): Tensor {
  const squared = (a: Tensor, b: Tensor) => a.transpose(1, 2).matmul(b).div(x.shape[1]!).square().sum([1, 2]);
  return notNegative(squared(x, x).add(squared(c, c)).sub(squared(x, c).mul(2))).mean();
}

/**
 * The same for squared distances: with centered rows and u_i = |x_i|² − |c_i|², the difference of two distances is
 * u_i + u_k − 2(⟨x_i,x_k⟩ − ⟨c_i,c_k⟩), whose mixed terms vanish, since rows add up to zero. As in one dimension,
 * see `matchingCosts` in sliced.ts, the mean of its square is 2 mean(u²) + 2 mean(u)² + 4 times {@link gramDifference}.
 */
function squaredDistanceDifference(x: Tensor, c: Tensor): Tensor {
  const [a, b] = [x, c].map((z) => z.sub(z.mean([1], { keepdim: true })));
  const u = a!
    .square()
    .sum([2])
    .sub(b!.square().sum([2])); // [b, n]
  const lengths = u
    .square()
    .mean()
    .add(u.mean([1]).square().mean());
  return lengths.mul(2).add(gramDifference(a!, b!), { alpha: 4 });
}

/** Cuts off what rounding left below 0, where equal terms cancel; the gradient stays. */
function notNegative(value: Tensor): Tensor {
  return value.sub(value.detach().clamp_max(0));
}
