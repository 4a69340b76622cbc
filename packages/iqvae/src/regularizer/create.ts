import { type Generator, scope, type Tensor } from "@iqvae/torch";
import { type EstimatorConfig, type EstimatorInput, estimatorSchema } from "./config.ts";
import { unitRows } from "./distances.ts";
import { entropic } from "./entropic.ts";
import { type Estimator, fullPrecision, widened } from "./estimator.ts";
import { normalized } from "./normalized.ts";
import { paired } from "./paired.ts";
import { drawPositions, sliced } from "./sliced.ts";

/**
 * The variational regularizer on feature maps: `zX` `[B, d, h, w]` and `zC` `[B, d', h', w']` → a scalar without the weight.
 *
 * @throws RangeError when the shapes do not fit the estimator
 */
export type Regularizer = (zX: Tensor, zC: Tensor, generator?: Generator) => Tensor;

/**
 * A regularizer as configured. At every call it draws `samples` positions without replacement (all, where there are not more, or
 * `samples` is `null`): the same on both sides when batch and grid agree, independent ones otherwise. The weight stays with the caller, so that
 * logged values can be compared across weights.
 *
 * @throws ZodError for a configuration that does not fit the schema
 */
export function createRegularizer(config: EstimatorInput): Regularizer {
  const parsed = estimatorSchema.parse(config);
  const { samples } = parsed;
  return (zX, zC, generator) => {
    const [x, c] = [zX.shape, zC.shape];
    const aligned = checkMaps(parsed.estimator, x, c);
    return scope(() => {
      const estimator = estimatorFor(parsed, x[0]!);
      const image = parsed.gradient === "condition" ? zX.detach() : zX;
      const condition = parsed.gradient === "image" ? zC.detach() : zC;
      if (samples === null) return estimator(rowsOf(image), rowsOf(condition), generator);
      const draw = (shape: readonly number[]) => drawPositions(places(shape), samples, zX.device, generator);
      const atX = draw(x);
      return estimator(featuresAt(image, atX), featuresAt(condition, aligned ? atX : draw(c)), generator);
    });
  };
}

/** @param images of a batch */
function estimatorFor(config: EstimatorConfig, images: number): Estimator {
  switch (config.estimator) {
    case "paired":
      return paired({ distance: config.distance, blocks: config.pairs === "image" ? images : 1 });
    case "entropic":
      return config.normalize ? normalized(entropic(config)) : entropic(config);
    case "sliced": {
      const raw = sliced(config);
      const chosen = config.features === "unit" ? ofUnitRows(raw) : raw;
      return config.normalize ? normalized(chosen) : chosen;
    }
  }
}

/**
 * Projections on a random direction of ℝ^d keep 1/d of a squared difference on average. Unit vectors times √(d/2) have an
 * expected squared difference of 1 − cos, so that one weight means the same to all estimators and in every dimension.
 */
function ofUnitRows(estimator: Estimator): Estimator {
  return (zX, zC, generator) => {
    const scale = Math.sqrt(Math.max(zX.shape[1]!, zC.shape[1]!) / 2);
    const [x, c] = fullPrecision(zX.device, () => [zX, zC].map((z) => unitRows(widened(z)).mul(scale)));
    return estimator(x!, c!, generator);
  };
}

/** Whether position i of one map is position i of the other. */
function checkMaps(estimator: EstimatorConfig["estimator"], x: readonly number[], c: readonly number[]): boolean {
  const came = `but got zX [${x.join(", ")}] and zC [${c.join(", ")}]`;
  if (x.length !== 4 || c.length !== 4)
    throw new RangeError(`the regularizer expects feature maps, zX [B, d, h, w] and zC [B, d', h', w'], ${came}`);
  const aligned = [0, 2, 3].every((dim) => x[dim] === c[dim]);
  if (estimator === "paired" && !aligned)
    throw new RangeError(
      `the paired regularizer compares equal places and expects equal B, h and w, ${came}; ` +
        'choose the estimator "sliced" or "entropic" for grids that differ',
    );
  return aligned;
}

function places([B, , h, w]: readonly number[]): number {
  return B! * h! * w!;
}

/** The feature vectors of all places, image by image in raster order: `[B, d, h, w]` → `[B·h·w, d]`. */
function rowsOf(z: Tensor): Tensor {
  // A view when z is channels_last.
  return z.permute([0, 2, 3, 1]).reshape([-1, z.shape[1]!]);
}

/** Those at `positions`, `[n, d]`. */
function featuresAt(z: Tensor, positions: Tensor): Tensor {
  return rowsOf(z).index_select(0, positions);
}
