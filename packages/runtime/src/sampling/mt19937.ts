/** Words of the state, and how far apart those are that are mixed. */
const [N, M] = [624, 397];

/**
 * The Mersenne Twister MT19937 (Matsumoto & Nishimura 1998), with the initialization of its authors' 2002 version: 32 bits a number.
 * Drawing takes two numbers for each code of each token, which is why the state is of signed words: those that V8 computes with.
 */
export class Mt19937 {
  readonly #state = new Int32Array(N);
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
    return tempered(this.#state[this.#at++]!) >>> 0;
  }

  /** Fills `numbers` with numbers in [0, 1) of 53 bits: the lowest 21 of a word above all of the next. */
  fill(numbers: Float64Array): void {
    const state = this.#state;
    for (let i = 0; i < numbers.length; ) {
      if (this.#at >= N - 1) {
        // One word at most is left of the state.
        const high = this.next() & 0x1fffff;
        numbers[i++] = high * 2 ** -21 + this.next() * 2 ** -53;
        continue;
      }
      const pairs = Math.min(numbers.length - i, (N - this.#at) >> 1);
      const stop = this.#at + 2 * pairs;
      for (let at = this.#at; at < stop; at += 2) {
        const high = tempered(state[at]!) & 0x1fffff;
        numbers[i++] = high * 2 ** -21 + (tempered(state[at + 1]!) >>> 0) * 2 ** -53;
      }
      this.#at = stop;
    }
  }

  #twist(): void {
    const state = this.#state;
    let i = 0;
    for (; i < N - M; i++) state[i] = state[i + M]! ^ mixed(state[i]!, state[i + 1]!);
    for (; i < N - 1; i++) state[i] = state[i + M - N]! ^ mixed(state[i]!, state[i + 1]!);
    state[N - 1] = state[M - 1]! ^ mixed(state[N - 1]!, state[0]!);
    this.#at = 0;
  }
}

/** The highest bit of one word above the rest of the next, times the matrix A. */
function mixed(high: number, low: number): number {
  const word = (high & 0x80000000) | (low & 0x7fffffff);
  return (word >>> 1) ^ (-(word & 1) & 0x9908b0df);
}

function tempered(word: number): number {
  let y = word ^ (word >>> 11);
  y ^= (y << 7) & 0x9d2c5680;
  y ^= (y << 15) & 0xefc60000;
  return y ^ (y >>> 18);
}
