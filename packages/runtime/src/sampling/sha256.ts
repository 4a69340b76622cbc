/** The first 32 bits of the fractional parts of the square roots of the first 8 primes (FIPS 180-4, § 5.3.3). */
const START = primes(8).map((prime) => fraction(Math.sqrt(prime)));
/** The same of the cube roots of the first 64 primes (§ 4.2.2). */
const CONSTANTS = Int32Array.from(primes(64), (prime) => fraction(Math.cbrt(prime)));

function primes(count: number): number[] {
  const found: number[] = [];
  for (let n = 2; found.length < count; n++) if (found.every((prime) => n % prime !== 0)) found.push(n);
  return found;
}

function fraction(x: number): number {
  return ((x % 1) * 2 ** 32) | 0;
}

const rotate = (word: number, bits: number) => (word >>> bits) | (word << (32 - bits));

/**
 * SHA-256 (FIPS 180-4), at once: the platform's own, `crypto.subtle`, gives a promise, and only in secure contexts.
 *
 * @returns 32 bytes
 */
export function sha256(message: Uint8Array): Uint8Array {
  const padded = new Uint8Array(64 * Math.ceil((message.length + 9) / 64));
  padded.set(message);
  padded[message.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 8, Math.floor(message.length / 2 ** 29));
  view.setUint32(padded.length - 4, message.length << 3);
  const state = Int32Array.from(START);
  const schedule = new Int32Array(64);
  for (let at = 0; at < padded.length; at += 64) {
    for (let t = 0; t < 16; t++) schedule[t] = view.getInt32(at + 4 * t);
    for (let t = 16; t < 64; t++) {
      const [a, b] = [schedule[t - 15]!, schedule[t - 2]!];
      const low = rotate(a, 7) ^ rotate(a, 18) ^ (a >>> 3);
      const high = rotate(b, 17) ^ rotate(b, 19) ^ (b >>> 10);
      schedule[t] = schedule[t - 16]! + low + schedule[t - 7]! + high;
    }
    mix(state, schedule);
  }
  const digest = new Uint8Array(32);
  state.forEach((word, i) => {
    new DataView(digest.buffer).setInt32(4 * i, word);
  });
  return digest;
}

/** The 64 rounds of § 6.2.2. */
function mix(state: Int32Array, schedule: Int32Array): void {
  let [a, b, c, d, e, f, g, h] = state as unknown as [number, number, number, number, number, number, number, number];
  for (let t = 0; t < 64; t++) {
    const choice = (e & f) ^ (~e & g);
    const majority = (a & b) ^ (a & c) ^ (b & c);
    const first = (h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + choice + CONSTANTS[t]! + schedule[t]!) | 0;
    const second = ((rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + majority) | 0;
    h = g;
    g = f;
    f = e;
    e = (d + first) | 0;
    d = c;
    c = b;
    b = a;
    a = (first + second) | 0;
  }
  [a, b, c, d, e, f, g, h].forEach((word, i) => {
    state[i]! += word;
  });
}

/** In hexadecimal, lower case. */
export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
