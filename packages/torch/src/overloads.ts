import { native } from "./native.ts";

/** The plain overload first, those that write into given tensors last: the first that fits is called. */
function rank(overload: string): number {
  if (overload === "") return 0;
  return /(^|_)out$/.test(overload) ? 2 : 1;
}

const table = new Map<string, string[]>();

/** Reads the names of all operators; again after a library has brought more. */
export function readOverloads(): void {
  table.clear();
  for (const full of native.operatorNames()) {
    const dot = full.indexOf(".");
    const name = dot < 0 ? full : full.slice(0, dot);
    const overload = dot < 0 ? "" : full.slice(dot + 1);
    const known = table.get(name);
    if (known === undefined) table.set(name, [overload]);
    else known.push(overload);
  }
  for (const overloads of table.values()) overloads.sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

/** The overloads of an operator, in the order in which they are tried; `undefined` when this libtorch lacks it. */
export function overloadsOf(name: string): readonly string[] | undefined {
  if (table.size === 0) readOverloads();
  return table.get(name);
}
