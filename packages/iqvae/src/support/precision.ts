import { autocast, getDefaultDevice } from "@iqvae/torch";
import type { Config } from "../config/index.ts";

/** Runs `body` with matrix products and convolutions in the precision of a configuration. */
export function inPrecision<T>({ precision }: Pick<Config, "precision">, body: () => T): T {
  if (precision === "float32") return body();
  return autocast({ dtype: precision, device: getDefaultDevice().split(":")[0]! }, body);
}
