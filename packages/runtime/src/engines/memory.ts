import { fromBase64 } from "../json.ts";
import { PLAIN, RELAXED } from "./kernels.ts";

/** The kernels, which `kernels/*.ts` describe. Arguments are byte addresses and numbers. */
export interface Kernels {
  linear(
    x: number,
    rows: number,
    inputs: number,
    w: number,
    bias: number,
    y: number,
    outputs: number,
    then: number,
  ): void;
  linear16(
    x: number,
    rows: number,
    inputs: number,
    w: number,
    bias: number,
    y: number,
    outputs: number,
    then: number,
    scratch: number,
    keep: number,
    lift: number,
  ): void;
  linear8(
    x: number,
    rows: number,
    inputs: number,
    w: number,
    scales: number,
    bias: number,
    y: number,
    outputs: number,
    then: number,
    most: number,
    scratch: number,
  ): void;
  attend(
    q: number,
    out: number,
    k1: number,
    v1: number,
    n1: number,
    across1: number,
    k2: number,
    v2: number,
    n2: number,
    across2: number,
    heads: number,
    depth: number,
    scores: number,
  ): void;
  remember(kv: number, keys: number, values: number, across: number, heads: number, depth: number): void;
  layerNorm(x: number, y: number, weight: number, bias: number, rows: number, width: number, epsilon: number): void;
  gather(
    x: number,
    to: number,
    height: number,
    width: number,
    channels: number,
    row: number,
    outWidth: number,
    kh: number,
    kw: number,
    sh: number,
    sw: number,
    ph: number,
    pw: number,
    growHeight: number,
    growWidth: number,
  ): void;
  groupNormSilu(
    x: number,
    y: number,
    weight: number,
    bias: number,
    pixels: number,
    channels: number,
    groups: number,
    epsilon: number,
    scratch: number,
  ): void;
}

/** What `linear` does with a product besides adding the bias. */
export const THEN = { nothing: 0, gelu: 1, add: 2 } as const;
/** One of {@link THEN}. */
export type Then = (typeof THEN)[keyof typeof THEN];

const PAGE = 65_536;
/** The most that 32 bits address. */
const MOST_PAGES = 65_536;

/** The kernels and the memory that they work on: a stack of blocks, each for numbers of 4 bytes. */
export class Arena {
  readonly kernels: Kernels;
  /** Whether multiplications and additions are one instruction. */
  readonly relaxed: boolean;
  readonly #memory: WebAssembly.Memory;
  #top = 1024; // what the module itself might keep stands below

  private constructor(memory: WebAssembly.Memory, kernels: Kernels, relaxed: boolean) {
    this.#memory = memory;
    this.kernels = kernels;
    this.relaxed = relaxed;
  }

  /** @param bytes what is reserved at once; it grows as needed */
  static async create(bytes: number): Promise<Arena> {
    if (typeof WebAssembly === "undefined") refused(new Error("there is no WebAssembly"));
    const memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / PAGE) + 1, maximum: MOST_PAGES });
    const better = moduleOf(RELAXED);
    const relaxed = WebAssembly.validate(better);
    const abort = () => {
      throw new Error("a kernel stopped");
    };
    const imports = { env: { memory, abort } };
    const { instance } = await WebAssembly.instantiate(relaxed ? better : moduleOf(PLAIN), imports).catch(refused);
    return new Arena(memory, instance.exports as unknown as Kernels, relaxed);
  }

  /**
   * The address of new room for `length` numbers, a multiple of 64.
   *
   * @throws RangeError when there is not that much memory; all is as before then
   */
  allocate(length: number): number {
    const at = Math.ceil(this.#top / 64) * 64;
    const top = at + 4 * length;
    this.#grow(top);
    this.#top = top;
    return at;
  }

  #grow(bytes: number): void {
    const missing = bytes - this.#memory.buffer.byteLength;
    if (missing <= 0) return;
    try {
      this.#memory.grow(Math.ceil(missing / PAGE));
    } catch (cause) {
      throw new RangeError(
        `the model and what is drawn at once need ${Math.ceil(bytes / 2 ** 20)} MiB, which WebAssembly does not give ` +
          `(${(cause as Error).message}); choose a smaller batch, which draws the same images`,
        { cause },
      );
    }
  }

  /** Gives back all that was allocated during some work, however it ends. */
  during<T>(work: () => T): T {
    const mark = this.#top;
    try {
      return work();
    } finally {
      this.#top = mark;
    }
  }

  /** Where the next block will stand: see {@link free}. */
  get mark(): number {
    return this.#top;
  }

  /** Gives back all that was allocated after a mark. */
  free(mark: number): void {
    this.#top = mark;
  }

  /** The numbers at an address; valid until more is allocated. */
  floats(at: number, length: number): Float32Array {
    return new Float32Array(this.#memory.buffer, at, length);
  }

  /** The bytes at an address; valid until more is allocated. */
  bytes(at: number, length: number): Int8Array {
    return new Int8Array(this.#memory.buffer, at, length);
  }

  /** The numbers of 16 bits at an address; valid until more is allocated. */
  halves(at: number, length: number): Uint16Array {
    return new Uint16Array(this.#memory.buffer, at, length);
  }

  /** Room with these numbers. */
  store(numbers: Float32Array): number {
    const at = this.allocate(numbers.length);
    this.floats(at, numbers.length).set(numbers);
    return at;
  }
}

function moduleOf(encoded: string): Uint8Array<ArrayBuffer> {
  return fromBase64(encoded) as Uint8Array<ArrayBuffer>;
}

/** Of a policy, browsers say that it needs 'unsafe-eval', which would allow more than this. */
function refused(cause: Error): never {
  throw new Error(
    `the kernels of @iqvae/runtime cannot be run (${cause.message}); they need WebAssembly with SIMD, and under a content ` +
      "security policy 'wasm-unsafe-eval' in its script-src",
    { cause },
  );
}
