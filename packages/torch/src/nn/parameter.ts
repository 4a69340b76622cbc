import { expectOptions, oneOf } from "../given.ts";
import { noGrad } from "../modes.ts";
import { ops } from "../ops.ts";
import { scope, unscoped } from "../scope.ts";
import { Tensor } from "../tensor.ts";

const trained = new WeakSet<Tensor>();

/** Whether the tensor is a parameter: one that requires a gradient, or did when it was made or first seen in a module. */
export function isParameter(tensor: Tensor): boolean {
  if (trained.has(tensor)) return true;
  if (!tensor.requiresGrad) return false;
  trained.add(tensor);
  return true;
}

/** What {@link parameter} may be told besides the shape. */
interface ParameterOptions {
  /** The order in memory; images in `channels_last` are convolved by weights in `channels_last`. */
  readonly memoryFormat?: "channels_last";
}

/**
 * A trained tensor of the given shape, filled by `initialize` in place. It outlives every scope.
 *
 * @throws TypeError when `initialize` gives another tensor: what is in the memory would be left as it was
 */
export function parameter(
  shape: readonly number[],
  initialize: (tensor: Tensor) => void,
  options: ParameterOptions = {},
): Tensor {
  expectOptions("parameter", options, { memoryFormat: oneOf(["channels_last"]) });
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0))
    throw new TypeError(`the shape of a parameter must be whole numbers, but is [${shape.map(String).join(", ")}]`);
  return unscoped(() => {
    const made = ops.aten.empty(shape, { memory_format: options.memoryFormat ?? null });
    const given = scope(() => noGrad(() => initialize(made) as unknown));
    // A view of it may be given, too: what was written to by it counts.
    if (given instanceof Tensor && given !== made && ops.aten._version(made) === 0)
      throw new TypeError("parameter: the tensor must be filled in place, such as by p.zero_() or p.copy_(x)");
    made.requiresGrad = true;
    trained.add(made);
    return made;
  });
}

/** A tensor that is part of the state but not trained. It outlives every scope; what `make` needed on the way does not. */
export function buffer(make: () => Tensor): Tensor {
  return unscoped(() => scope(make));
}

/** PyTorch's default for linear and convolutional layers: uniform in ±1/√fanIn, and 0 where nothing comes in. */
export function uniformByFanIn(fanIn: number): (tensor: Tensor) => void {
  const bound = fanIn > 0 ? 1 / Math.sqrt(fanIn) : 0;
  return (tensor) => tensor.uniform_(-bound, bound);
}

export const ones = (tensor: Tensor): void => void tensor.fill_(1);
export const zeros = (tensor: Tensor): void => void tensor.fill_(0);
