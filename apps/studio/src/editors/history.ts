/** The most conditions that are kept. */
const MOST = 200;

/** Conditions before and after the present one. */
export class History {
  #past: Uint8Array[] = [];
  #future: Uint8Array[] = [];
  #now: Uint8Array;
  #astray = false;

  constructor(now: Uint8Array) {
    this.#now = now;
  }

  get canUndo(): boolean {
    return this.#astray || this.#past.length > 0;
  }

  get canRedo(): boolean {
    return this.#future.length > 0;
  }

  /** The present condition, while something is there that is none. */
  get left(): Uint8Array | undefined {
    return this.#astray ? this.#now : undefined;
  }

  /** What is there is not a condition, such as words that are too many: it is not a step, and an undo leads back to the present one. */
  stray(): void {
    this.#astray = true;
  }

  /** Another condition; one that is equal to the present one is none. */
  push(next: Uint8Array): void {
    this.#astray = false;
    if (next.length === this.#now.length && next.every((byte, i) => byte === this.#now[i])) return;
    this.#past.push(this.#now);
    if (this.#past.length > MOST) this.#past.shift();
    this.#future = [];
    this.#now = next;
  }

  undo(): Uint8Array | undefined {
    const { left } = this;
    this.#astray = false;
    return left ?? this.#go(this.#past, this.#future);
  }

  redo(): Uint8Array | undefined {
    return this.#go(this.#future, this.#past);
  }

  #go(from: Uint8Array[], to: Uint8Array[]): Uint8Array | undefined {
    const next = from.pop();
    if (next === undefined) return undefined;
    this.#astray = false;
    to.push(this.#now);
    this.#now = next;
    return next;
  }
}
