import { cudaDeviceCount, getRngState, manualSeed, setRngState } from "@iqvae/torch";

const devices = (): string[] => ["cpu", ...Array.from({ length: cudaDeviceCount() }, (_, i) => `cuda:${i}`)];

/** The state of the default generator of each device, in base64. */
export function randomStates(): Record<string, string> {
  return Object.fromEntries(devices().map((device) => [device, Buffer.from(getRngState(device)).toString("base64")]));
}

/** Puts the default generators back to what {@link randomStates} gave; devices that are not here any more are left out. */
export function restoreRandomStates(states: Readonly<Record<string, string>>): void {
  const here = new Set(devices());
  for (const [device, state] of Object.entries(states)) {
    if (here.has(device)) setRngState(new Uint8Array(Buffer.from(state, "base64")), device);
  }
}

/**
 * Runs `body` with random numbers of its own and puts the default generators back afterward: looking at a training must
 * not change it.
 */
export async function withOwnRandomness<T>(seed: number, body: () => T | Promise<T>): Promise<T> {
  const before = randomStates();
  manualSeed(seed);
  try {
    return await body();
  } finally {
    restoreRandomStates(before);
  }
}
