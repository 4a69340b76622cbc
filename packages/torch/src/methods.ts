import { DTYPE_CODES } from "./dtype.ts";
import { native, onceLoaded } from "./native.ts";
import { operatorByName } from "./ops.ts";
import { DEVICE, isOptions } from "./resolve.ts";
import { Tensor } from "./tensor.ts";

// Every operator whose first argument is `self` becomes a method, unless the class has a member of that name.
onceLoaded(() => {
  for (const name of native.methodNames()) {
    if (name in Tensor.prototype) continue;
    let call: ((...args: unknown[]) => unknown) | undefined;
    Object.defineProperty(Tensor.prototype, name, {
      configurable: true,
      writable: true,
      value(this: Tensor, ...args: unknown[]): unknown {
        call ??= operatorByName(`aten::${name}`);
        return call(this, ...(name === "to" ? destination(args) : args));
      },
    });
  }
});

/**
 * `x.to("cuda")` and `x.to("cuda", { … })` have no schema of their own: the device becomes an option.
 *
 * @throws TypeError for text that names neither a device nor a dtype
 */
function destination(args: unknown[]): unknown[] {
  const [first, second] = args;
  if (typeof first !== "string" || first in DTYPE_CODES) return args;
  if (!DEVICE.test(first))
    throw new TypeError(
      `to("${first}"): this is neither a device, such as "cuda" or "cuda:1", nor a dtype: ${Object.keys(DTYPE_CODES).join(", ")}`,
    );
  if (args.length === 1) return [{ device: first }];
  return args.length === 2 && isOptions(second) ? [{ device: first, ...second }] : args;
}
