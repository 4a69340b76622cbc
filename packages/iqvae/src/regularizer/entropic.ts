import { noGrad, ops, scope, type Tensor } from "@iqvae/torch";
import { type Distance, distances } from "./distances.ts";
import { checkFeatures, checkFinite, type Estimator, fullPrecision, widened } from "./estimator.ts";

export interface PlanOptions {
  /** Weight of the plan's entropy, in units of {@link scaleOf}. Default 0.01. */
  readonly epsilon?: number;
  /** At most so many steps of the plan. Default 40. */
  readonly steps?: number;
  /** At most so many Sinkhorn iterations a step; each begins with the potentials of the last. Default 50. */
  readonly sinkhornSteps?: number;
  /** Both loops end when the plan, or its row sums, are off by less than this in ℓ1. Default 1e-4. */
  readonly tolerance?: number;
}

export interface EntropicOptions extends PlanOptions {
  /** Default `cosine`. */
  readonly distance?: Distance;
}

/**
 * Entropic Gromov–Wasserstein for the square loss and uniform weights (Peyré, Cuturi & Solomon 2016, "Gromov-Wasserstein
 * averaging of kernel and distance matrices"): the plan by projected gradient, each projection by Sinkhorn in the log
 * domain; then the cost of that plan, without its entropy. `O((n + m) n m)` a step.
 *
 * The gradient treats the plan as constant and runs through both distance matrices alone: by the envelope theorem that is the
 * gradient of the regularized optimum `min_T ⟨cost⟩ − ε H(T)` for a fixed ε. It differs from that of the returned number by
 * what the entropy of the plan would change, which vanishes with ε.
 *
 * `n ≠ m` is allowed. The problem is not convex: the plan is a local optimum, reached from the independent coupling, with more
 * entropy at first. Computed in float64, as the cost is a small difference of large sums. Invariant under what keeps the
 * distances of a side, and under permutation of its rows.
 */
export function entropic({ distance = "cosine", ...options }: EntropicOptions = {}): Estimator {
  return (zX, zC) => {
    checkFeatures("entropic()", zX, zC);
    return scope(() =>
      fullPrecision(zX.device, () => {
        const dX = distances(zX.to("float64"), distance);
        const dC = distances(zC.to("float64"), distance);
        checkFinite("entropic()", dX.detach().sum().add(dC.detach().sum()), zX, zC);
        const plan = entropicPlan(dX.detach(), dC.detach(), options);
        return planCost(dX, dC, plan).to(widened(zX.detach()).dtype);
      }),
    );
  };
}

/** What ε, and the cost, are small or large against: the geometric mean of the mean squared distances of both sides. */
export function scaleOf(dX: Tensor, dC: Tensor): number {
  return Math.sqrt(dX.square().mean().item() * dC.square().mean().item());
}

/** The defaults of {@link PlanOptions}. */
export const PLAN_DEFAULTS = { epsilon: 0.01, steps: 40, sinkhornSteps: 50, tolerance: 1e-4 } as const;

/** The entropy to begin with, and what is kept of it a step: without, nearly equal spaces are often matched wrongly. */
const ANNEALING = { from: 0.1, factor: 0.7 };

/**
 * The plan `T` `[n, m]` of {@link entropic} for distance matrices `[n, n]` and `[m, m]` in float64. Its column sums are
 * exact, its row sums to the tolerance.
 */
export function entropicPlan(dX: Tensor, dC: Tensor, options: PlanOptions = {}): Tensor {
  const { epsilon, steps, sinkhornSteps, tolerance } = { ...PLAN_DEFAULTS, ...options };
  const [n, m] = [dX.shape[0]!, dC.shape[0]!];
  return noGrad(() =>
    scope(() => {
      const scale = scaleOf(dX, dC) || 1; // 0 when all points of a side are one
      let relative = Math.max(epsilon, ANNEALING.from);
      let plan = ops.aten.full([n, m], 1 / (n * m), { dtype: "float64", device: dX.device });
      let potential = ops.aten.zeros([1, m], { dtype: "float64", device: dX.device });
      for (let step = 0; step < steps; step++) {
        // The cost's gradient is 2 (constant rows + constant columns − 2 D_X T D_C), of which only the product matters:
        // Sinkhorn's potentials take up what is constant in a row or a column.
        const kernel = dX
          .matmul(plan)
          .matmul(dC)
          .mul(4 / (relative * scale));
        const next = sinkhorn(kernel, potential, sinkhornSteps, tolerance);
        const moved = next.plan.sub(plan).abs().sum().item();
        plan = next.plan;
        if (relative === epsilon && moved < tolerance) break;
        const lower = Math.max(epsilon, relative * ANNEALING.factor);
        potential = next.potential.mul(relative / lower);
        relative = lower;
      }
      return plan;
    }),
  );
}

/** The plan `exp(kernel + f + g)` with uniform row and column sums; `potential` is the `g` to begin with. */
function sinkhorn(kernel: Tensor, potential: Tensor, steps: number, tolerance: number) {
  return scope(() => {
    const [n, m] = kernel.shape as [number, number];
    const shifted = (values: Tensor, dim: number, size: number) =>
      values.logsumexp([dim], { keepdim: true }).add(Math.log(size)).neg();
    let g = potential;
    let plan = kernel;
    for (let step = 1; step <= steps; step++) {
      const f = shifted(kernel.add(g), 1, n);
      g = shifted(kernel.add(f), 0, m);
      // Looking at the row sums costs as much as an iteration.
      if (step % 10 !== 0 && step < steps) continue;
      plan = kernel.add(f).add(g).exp();
      if (
        plan
          .sum([1])
          .sub(1 / n)
          .abs()
          .sum()
          .item() < tolerance
      )
        break;
    }
    return { plan, potential: g };
  });
}

/**
 * `Σ_ijkl (D_X(i,k) − D_C(j,l))² T_ij T_kl` by Peyré et al., proposition 1: the square splits into `D_X²`, `D_C²` and a
 * product of matrices, `O((n + m) n m)` instead of `O(n²m²)`. Differentiable in all three; at most rounding below 0 cut off.
 */
export function planCost(dX: Tensor, dC: Tensor, plan: Tensor): Tensor {
  const [rows, columns] = [plan.sum([1]), plan.sum([0])];
  const within = (d: Tensor, weights: Tensor) => d.square().matmul(weights).dot(weights);
  const across = dX.matmul(plan).matmul(dC).mul(plan).sum();
  const cost = within(dX, rows).add(within(dC, columns)).sub(across.mul(2));
  return cost.sub(cost.detach().clamp_max(0));
}
