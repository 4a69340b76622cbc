import { native } from "./native.ts";
import { Tensor } from "./tensor.ts";

const registry = new FinalizationRegistry<number>((index) => native.releaseGenerator(index));

/** @throws RangeError for a seed that is not whole, or outside of −2⁶³ … 2⁶⁴ − 1, which is what PyTorch takes */
function bitsOf(seed: number | bigint): bigint {
  const bits = BigInt.asIntN(64, BigInt(seed));
  if (bits === BigInt(seed) || BigInt.asUintN(64, bits) === BigInt(seed)) return bits;
  throw new RangeError(`the seed ${seed} does not fit 64 bits`);
}

/**
 * A seeded source of random numbers for operators that take a `generator`. Equal seeds give equal numbers on one kind of
 * device; the state can be saved and restored.
 */
export class Generator {
  readonly device: string;
  #index: number;

  constructor(seed: number | bigint = 0, device = "cpu") {
    this.device = device;
    this.#index = native.createGenerator(device, bitsOf(seed));
    registry.register(this, this.#index, this);
  }

  /** @internal */
  get index(): number {
    return this.#index;
  }

  /** Starts anew from a seed. */
  manualSeed(seed: number | bigint): this {
    native.seedGenerator(this.#index, bitsOf(seed));
    return this;
  }

  /** The whole state as bytes, to be handed to {@link setState}. */
  getState(): Uint8Array {
    const state = new Tensor(native.generatorState(this.#index));
    const bytes = state.read("uint8");
    state.dispose();
    return bytes;
  }

  setState(state: Uint8Array): this {
    applyState(this.#index, state);
    return this;
  }

  toString(): string {
    return `Generator(${this.device})`;
  }
}

function applyState(generator: number | string, bytes: Uint8Array): void {
  const state = new Tensor(native.fromTypedArray(bytes, [bytes.length], 0, "cpu"));
  try {
    native.setGeneratorState(generator, state.handle);
  } finally {
    state.dispose();
  }
}

/**
 * Seeds the default generator of the CPU and of every CUDA device. They belong to the process: a worker thread that draws from them, as
 * dropout does, takes numbers of the main thread's stream. One that is not to disturb it draws with a {@link Generator} of its own.
 */
export function manualSeed(seed: number | bigint): void {
  const bits = bitsOf(seed);
  native.seedGenerator("cpu", bits);
  for (let i = 0; i < native.cudaDevices(); i++) native.seedGenerator(`cuda:${i}`, bits);
}

/** The state of a device's default generator. */
export function getRngState(device = "cpu"): Uint8Array {
  const state = new Tensor(native.generatorState(device));
  const bytes = state.read("uint8");
  state.dispose();
  return bytes;
}

export function setRngState(state: Uint8Array, device = "cpu"): void {
  applyState(device, state);
}
