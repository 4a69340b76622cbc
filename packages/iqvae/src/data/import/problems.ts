import { FileProblem, type FileProblemKind } from "@iqvae/runtime";
import { amount } from "../../support/amount.ts";

/** What can be wrong with a pair; the words are those of the summary. */
export type ProblemKind =
  | FileProblemKind
  | "missing partner"
  | "ambiguous partner"
  | "contact sheet"
  | "text too long"
  | "too few or too many objects";

/** Why a pair cannot be used. The import goes on without it. */
export class PairProblem extends Error {
  override readonly name = "PairProblem";
  readonly kind: ProblemKind;

  constructor(kind: ProblemKind, reason: string, options?: ErrorOptions) {
    super(reason, options);
    this.kind = kind;
  }
}

/**
 * What an error says of a pair.
 *
 * @throws the error itself, when it is not about a pair
 */
export function problemKind(error: unknown): ProblemKind {
  if (error instanceof PairProblem || error instanceof FileProblem) return error.kind;
  // What readers of conditions say of a file that means nothing.
  if (error instanceof RangeError) return "bad annotation";
  throw error;
}

/** The problems of one kind: how many pairs have it, and the first of them. */
export interface ProblemSummary {
  readonly kind: ProblemKind;
  readonly count: number;
  /** By pair, at most {@link MOST_NAMED}. */
  readonly named: readonly { readonly pair: string; readonly reason: string }[];
}

/** What became of an import. It is kept in the cache file. */
export interface ImportReport {
  readonly data: string;
  /** The folder that was read. */
  readonly path: string;
  /** Pairs for training, and held out. */
  readonly train: number;
  readonly validation: number;
  readonly problems: readonly ProblemSummary[];
}

/** More are counted only: a data set may be broken from end to end. */
const MOST_NAMED = 1000;
/** Problems of a kind that the summary for people shows. */
const MOST_SHOWN = 3;

/** Counts and names what is wrong while an import goes on. */
export class Problems {
  readonly #kinds = new Map<ProblemKind, { count: number; named: { pair: string; reason: string }[] }>();

  add(kind: ProblemKind, pair: string, reason: string): void {
    const known = this.#kinds.get(kind) ?? { count: 0, named: [] };
    known.count++;
    if (known.named.length < MOST_NAMED) known.named.push({ pair, reason });
    this.#kinds.set(kind, known);
  }

  summary(): ProblemSummary[] {
    return (
      [...this.#kinds]
        // Pairs are read several at a time, so they fail in any order.
        .map(([kind, { count, named }]) => ({ kind, count, named: named.sort((a, b) => (a.pair < b.pair ? -1 : 1)) }))
        .sort((a, b) => b.count - a.count || (a.kind < b.kind ? -1 : 1))
    );
  }
}

/** The report for people: a line for what came in, and a few for each kind of problem. */
export function describeImport({ data, path, train, validation, problems }: ImportReport): string {
  const left = problems.reduce((sum, { count }) => sum + count, 0);
  const head =
    `${data} from ${path}: ${amount(train, "pair")} for training, ${validation} held out` +
    (left === 0 ? "; nothing was left out." : `; ${left} left out:`);
  return [head, ...describeProblems(problems)].join("\n");
}

export function describeProblems(problems: readonly ProblemSummary[]): string[] {
  return problems.flatMap(({ kind, count, named }) => [
    `  ${kind}: ${count}`,
    ...named.slice(0, MOST_SHOWN).map(({ pair, reason }) => `    ${printable(`${pair}: ${reason}`)}`),
    ...(count > MOST_SHOWN ? [`    … and ${count - MOST_SHOWN} more`] : []),
  ]);
}

/** Names of files may hold what a terminal obeys. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, "\ufffd");
}
