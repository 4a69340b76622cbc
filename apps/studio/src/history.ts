import type { Source } from "./drawing/source.ts";

/** The most steps that are kept. */
const MOST = 200;

/** What pictures follow from, beside the settings: a change of either is a step. */
export interface State {
  readonly condition: Uint8Array;
  readonly source: Source;
}

/** States before and after the present one. */
export class History {
  #past: State[] = [];
  #future: State[] = [];
  #now: State;
  #astray = false;

  constructor(now: State) {
    this.#now = now;
  }

  get canUndo(): boolean {
    return this.#astray || this.#past.length > 0;
  }

  get canRedo(): boolean {
    return this.#future.length > 0;
  }

  get now(): State {
    return this.#now;
  }

  /** What is there is not a condition, such as words that are too many: it is not a step, and an undo leads back to the present state. */
  stray(): void {
    this.#astray = true;
  }

  /** Takes another state. @returns whether it is a step: one that is equal to the present one is none */
  push(next: State): boolean {
    this.#astray = false;
    if (isSame(next, this.#now)) return false;
    this.#past.push(this.#now);
    if (this.#past.length > MOST) this.#past.shift();
    this.#future = [];
    this.#now = next;
    return true;
  }

  undo(): State | undefined {
    if (!this.#astray) return this.#go(this.#past, this.#future);
    this.#astray = false;
    return this.#now;
  }

  redo(): State | undefined {
    return this.#go(this.#future, this.#past);
  }

  #go(from: State[], to: State[]): State | undefined {
    const next = from.pop();
    if (next === undefined) return undefined;
    this.#astray = false;
    to.push(this.#now);
    this.#now = next;
    return next;
  }
}

/** Sources are never changed: another one is another object. */
function isSame(a: State, b: State): boolean {
  const { length } = a.condition;
  return (
    a.source === b.source && length === b.condition.length && a.condition.every((byte, i) => byte === b.condition[i])
  );
}
