/** Words of the state, and how far apart those are that are mixed. */
const [N, M] = [624, 397];

/**
 * The Mersenne Twister MT19937 (Matsumoto & Nishimura 1998), with the initialization of its authors' 2002 version: 32 bits a number.
 */
export class Mt19937 {
  readonly #state = new Uint32Array(N);
  #at = N;

  /** @param seed its lowest 32 bits count */
  constructor(seed: number) {
    const state = this.#state;
    state[0] = seed;
    for (let i = 1; i < N; i++) {
      const before = state[i - 1]! ^ (state[i - 1]! >>> 30);
      state[i] = Math.imul(before, 1_812_433_253) + i;
    }
  }

  /** The next number, 0 … 2³² − 1. */
  next(): number {
    if (this.#at === N) this.#twist();
    let word = this.#state[this.#at++]!;
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    return (word ^ (word >>> 18)) >>> 0;
  }

  /** Fills `numbers` with numbers in [0, 1) of 53 bits: the lowest 21 of a word above all of the next. */
  fill(numbers: Float64Array): void {
    for (let i = 0; i < numbers.length; i++) {
      const high = this.next() & 0x1fffff;
      numbers[i] = high * 2 ** -21 + this.next() * 2 ** -53;
    }
  }

  #twist(): void {
    const state = this.#state;
    const mixed = (i: number, next: number) => {
      const word = (state[i]! & 0x80000000) | (state[next]! & 0x7fffffff);
      return (word >>> 1) ^ ((word & 1) * 0x9908b0df);
    };
    let i = 0;
    for (; i < N - M; i++) state[i] = state[i + M]! ^ mixed(i, i + 1);
    for (; i < N - 1; i++) state[i] = state[i + M - N]! ^ mixed(i, i + 1);
    state[N - 1] = state[M - 1]! ^ mixed(N - 1, 0);
    this.#at = 0;
  }
}
