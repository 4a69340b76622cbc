/** Of several things that take their time, the one that was begun last counts: an older one may end later. */
export class Newest {
  #begun = 0;

  /** Begins another. @returns what says whether it still is the newest */
  begin(): () => boolean {
    this.#begun += 1;
    const own = this.#begun;
    return () => own === this.#begun;
  }
}
