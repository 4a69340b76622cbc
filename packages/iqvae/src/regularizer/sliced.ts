import { type Generator, noGrad, ops, scope, type Tensor } from "@iqvae/torch";
import { slicedGw } from "../support/kernels.ts";
import { checkFeatures, checkFinite, type Estimator, fullPrecision, widened, withGradient } from "./estimator.ts";

export interface SlicedOptions {
  /** How many random directions. Default 50. */
  readonly directions?: number;
}

/**
 * Sliced Gromov–Wasserstein (Vayer et al. 2019, "Sliced Gromov-Wasserstein"): both sides are projected on shared random
 * directions of the larger dimension, the smaller side padded with zeros. In one dimension the sorted points are matched
 * either in the same or in the opposite order, and the cheaper of the two counts; the mean over the directions is taken.
 * `O(L n (d + log n))`.
 *
 * A divergence, not a distance: that sorting solves the one-dimensional problem was disproved (Beinert, Heiss & Steidl 2022),
 * and turning one side changes the value. Invariant under translation of a side, permutation of its rows, and a change of
 * sign of either side. Where `n ≠ m`, rows of the larger side are drawn without replacement.
 */
export function sliced({ directions = 50 }: SlicedOptions = {}): Estimator {
  return (zX, zC, generator) => {
    checkFeatures("sliced()", zX, zC);
    return scope(() =>
      fullPrecision(zX.device, () => {
        const rows = Math.min(zX.shape[0]!, zC.shape[0]!);
        const [x, c] = [drawRows(widened(zX), rows, generator), drawRows(widened(zC), rows, generator)];
        const theta = randomDirections(directions, Math.max(x.shape[1]!, c.shape[1]!), x, generator);
        return checkFinite("sliced()", slicedAlong(x, c, theta), zX, zC);
      }),
    );
  };
}

/** `rows` of the rows of `z`, without replacement; all of them, in order, when it has no more. */
export function drawRows(z: Tensor, rows: number, generator?: Generator): Tensor {
  return z.shape[0]! <= rows ? z : z.index_select(0, drawPositions(z.shape[0]!, rows, z.device, generator));
}

/** `count` different numbers below `total`, int64. */
export function drawPositions(total: number, count: number, device: string, generator?: Generator): Tensor {
  const from = { generator: generator ?? null, device: generator?.device ?? "cpu" };
  return ops.aten.randperm(total, from).slice(0, 0, count).to({ device });
}

/** Rows on the unit sphere, uniformly: `[count, dimension]`, in the dtype and on the device of `like`. */
function randomDirections(count: number, dimension: number, like: Tensor, generator?: Generator): Tensor {
  const from = { generator: generator ?? null, device: generator?.device ?? "cpu" };
  const theta = ops.aten.randn([count, dimension], from);
  return theta.div(theta.norm(2, [1], true)).to({ dtype: like.dtype, device: like.device });
}

/**
 * The divergence along given directions, rows of `theta` `[L, max(dX, dC)]`; `zX` and `zC` have equally many rows. For one
 * direction and one-dimensional features this is the one-dimensional cost itself.
 */
export function slicedAlong(zX: Tensor, zC: Tensor, theta: Tensor): Tensor {
  const [thetaX, thetaC] = [theta.slice(1, 0, zX.shape[1]!), theta.slice(1, 0, zC.shape[1]!)];
  const { cost, gradX, gradC } = noGrad(() => {
    // [L, n]: every direction in one piece of memory, as the sort wants it.
    const [x, c] = [thetaX.matmul(zX.t()), thetaC.matmul(zC.t())];
    const fused = (x.device === "cpu" || x.device === "meta") && x.dtype === "float32";
    const [costs, ofX, ofC] = fused ? slicedGw(x, c) : matchingCosts(x, c);
    const back = (gradient: Tensor, directions: Tensor) => gradient.t().matmul(directions).div(theta.shape[0]!);
    return { cost: costs.mean(), gradX: back(ofX, thetaX), gradC: back(ofC, thetaC) };
  });
  return withGradient(cost, [
    [zX, gradX],
    [zC, gradC],
  ]);
}

/**
 * The one-dimensional problem for `L` rows of `n` points: `[L, n]` twice → the cost of each row's better matching (float64,
 * `[L]`) and its gradients with respect to both (`[L, n]`). What the fused kernel computes, in plain operators.
 *
 * Let x and y be matched, and centered, which leaves all differences as they are. With u_i = x_i² − y_i²,
 *
 *     a_ij = (x_i − x_j)² − (y_i − y_j)² = u_i + u_j − 2 (x_i x_j − y_i y_j)
 *
 * and since Σx = Σy = 0, with X = Σx², Y = Σy², P = Σxy, U = Σu = X − Y,
 *
 *     Σ_ij a_ij² = 2n Σu² + 2U² + 4 (X² + Y² − 2P²)
 *                = 2n Σu² + 6U² + 8 (XY − P²)
 *
 * where no term is negative (Cauchy–Schwarz), so nothing large cancels. The two matchings differ in 2n Σu² and 8P² only:
 * the larger n Σx²y² + 2P² is the cheaper one. The gradient with respect to x_k, in y the same with the roles swapped, is
 *
 *     8 (n u_k x_k + 3 U x_k + 2 (Y x_k − P y_k) − Σ_i u_i x_i)
 *
 * of which the last term comes from the centering. Mean instead of sum: both divided by n².
 */
export function matchingCosts(x: Tensor, y: Tensor): [costs: Tensor, gradX: Tensor, gradY: Tensor] {
  const n = x.shape[1]!;
  const sum = (values: Tensor) => values.sum([1], { keepdim: true });
  const sorted = (rows: Tensor) => {
    const [values, order] = rows.to("float64").sort({ stable: true, dim: 1 });
    return [values.sub(values.mean([1], { keepdim: true })), order] as const;
  };
  const gain = (a: Tensor, b: Tensor) => {
    const products = a.mul(b);
    return sum(products.square()).mul(n).add(sum(products).square().mul(2));
  };
  const [a, orderX] = sorted(x);
  const [rising, orderRising] = sorted(y);
  const falling = rising.flip([1]);
  const increasing = gain(a, rising).ge(gain(a, falling));
  const b = ops.aten.where(increasing, rising, falling);
  const orderY = ops.aten.where(increasing, orderRising, orderRising.flip([1]));

  const u = a.sub(b).mul(a.add(b));
  const [a2, b2, p, uSum] = [sum(a.square()), sum(b.square()), sum(a.mul(b)), sum(u)];
  const costs = sum(u.square())
    .mul(2 * n)
    .add(uSum.square().mul(6))
    .add(a2.mul(b2).sub(p.square()).clamp_min(0).mul(8))
    .div(n * n);
  const gradient = (u: Tensor, uSum: Tensor, a: Tensor, b: Tensor, b2: Tensor) =>
    u
      .mul(n)
      .add(uSum.mul(3))
      .add(b2.mul(2))
      .mul(a)
      .sub(p.mul(b).mul(2))
      .sub(sum(u.mul(a)))
      .mul(8 / (n * n));
  const inPlace = (order: Tensor, values: Tensor) => values.zeros_like().scatter(1, order, values).to(x.dtype);
  return [
    costs.squeeze(1),
    inPlace(orderX, gradient(u, uSum, a, b, b2)),
    inPlace(orderY, gradient(u.neg(), uSum.neg(), b, a, a2)),
  ];
}
