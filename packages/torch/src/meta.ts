import { operatorOf, withHook } from "./dispatch.ts";
import type { DType } from "./dtype.ts";
import { callOperator, ops } from "./ops.ts";
import { unscoped } from "./scope.ts";
import { synchronous } from "./synchronous.ts";
import { Tensor } from "./tensor.ts";

/** What autocast computes in the lower precision. */
const PRODUCTS: ReadonlySet<string> = new Set([
  ...["conv1d", "conv2d", "linear", "matmul", "mm", "bmm", "addmm", "baddbmm"].map((name) => `aten::${name}`),
  "fused::conv2d",
]);

interface Casting {
  /** `undefined` where autocast is switched off inside of itself. */
  dtype: DType | undefined;
  /** Weights that were cast: libtorch keeps them, too, until the outermost autocast ends. */
  readonly weights: Map<Tensor, Tensor>;
}

let casting: Casting | undefined;

/** Autocast for the `meta` device, on which libtorch's own does nothing. */
export function autocastOnMeta<T>(dtype: DType | undefined, body: () => T): T {
  if (casting !== undefined) {
    const { dtype: before } = casting;
    casting.dtype = dtype;
    try {
      return body();
    } finally {
      casting.dtype = before;
    }
  }
  const mine: Casting = { dtype, weights: new Map() };
  casting = mine;
  try {
    return withHook(
      (bound, given, next) =>
        next(bound, PRODUCTS.has(operatorOf(bound)) ? given.map((value) => cast(value, mine)) : given),
      body,
    );
  } finally {
    forgetMetaCasts();
    casting = undefined;
  }
}

/** Drops the weights that an autocast on `meta` has cast, if there is one. */
export function forgetMetaCasts(): void {
  if (casting === undefined) return;
  for (const weight of casting.weights.values()) weight.dispose();
  casting.weights.clear();
}

function cast(value: unknown, { dtype, weights }: Casting): unknown {
  if (dtype === undefined || !(value instanceof Tensor) || value.dtype !== "float32") return value;
  if (!value.requiresGrad || !ops.aten.is_leaf(value)) return value.to(dtype);
  const kept = weights.get(value) ?? unscoped(() => value.to(dtype));
  weights.set(value, kept);
  return kept;
}

/** The bytes that live tensors on the `meta` device would take elsewhere. */
export function metaBytes(): number {
  return callOperator("meta::live_bytes") as number;
}

/**
 * Runs `body`, which makes tensors on the `meta` device, where they have shapes and no memory.
 *
 * @returns what it gives, and the most bytes that all live tensors of that device together would have taken at any moment of it,
 *   those of libtorch's way back included
 * @throws TypeError when `body` is asynchronous
 */
export function peakMetaBytes<T>(body: () => T): { result: T; peak: number } {
  const outer = peakSoFar();
  callOperator("meta::reset_peak");
  within = 0;
  try {
    const result = synchronous("peakMetaBytes", body(), "what it makes later would not be counted");
    return { result, peak: peakSoFar() };
  } finally {
    within = Math.max(outer, peakSoFar());
  }
}

/** The peak of what is measured now, up to the end of the last measurement within it. */
let within = 0;

const peakSoFar = (): number => Math.max(within, callOperator("meta::peak_bytes") as number);
