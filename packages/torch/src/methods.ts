import { native, onceLoaded } from "./native.ts";
import { operatorByName } from "./ops.ts";
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
        return call(this, ...args);
      },
    });
  }
});
