import type { Tensor } from "@iqvae/torch";

/** Tensors with `prefix` before their names. */
export function prefixed(prefix: string, tensors: ReadonlyMap<string, Tensor>): [string, Tensor][] {
  return [...tensors].map(([name, value]) => [prefix + name, value]);
}

/** The tensors whose names begin with `prefix`, without it. */
export function below(prefix: string, tensors: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  const inside = [...tensors].filter(([name]) => name.startsWith(prefix));
  return new Map(inside.map(([name, value]) => [name.slice(prefix.length), value]));
}
