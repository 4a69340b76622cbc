import { operatorOf, withHook } from "./dispatch.ts";
import { synchronous } from "./synchronous.ts";

/** A call of an operator, after it has returned. */
export interface OperatorCall {
  /** With its namespace and without its overload, for example `aten::conv2d`. */
  readonly operator: string;
  /** In the order of the operator's schema. */
  readonly arguments: readonly unknown[];
  readonly result: unknown;
}

/**
 * Runs `body` and tells `observer` of every operator that it calls, from JavaScript: what `backward` calls inside libtorch is
 * not among them. Tensors of a call may be released when the observer has returned. Without an observer calls cost nothing more.
 *
 * @throws TypeError when `body` is asynchronous
 */
export function observeCalls<T>(observer: (call: OperatorCall) => void, body: () => T): T {
  return withHook(
    (bound, given, next) => {
      const result = next(bound, given);
      observer({ operator: operatorOf(bound), arguments: given, result });
      return result;
    },
    () => synchronous("observeCalls", body(), "its later calls would not be observed"),
  );
}
