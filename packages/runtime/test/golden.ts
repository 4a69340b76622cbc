import { noGrad, tensor } from "@iqvae/torch";
import type { SampleOptions } from "iqvae";
import { type Example, exampleOf } from "./support.ts";

/** Sets of options whose tokens are kept as goldens/NAME.txt. */
export const GOLDEN_SETS: Readonly<Record<string, SampleOptions>> = {
  plain: {},
  filtered: { temperature: 0.9, topK: 12, topP: 0.95 },
  guided: { guidance: 3 },
  "guided and filtered": { guidance: 1.5, topP: 0.8, samples: 2 },
  "shared noise": { noise: { kind: "shared" }, samples: 2 },
  "between two seeds": { noise: { kind: "between", to: 8, share: 0.4 } },
};
export const GOLDEN_SEED = 7;

/** What is kept under a name. */
export const goldenFile = (name: string): string => `goldens/${name.replaceAll(" ", "-")}.txt`;
export const goldenText = (rows: readonly ArrayLike<number>[]): string =>
  rows.map((row) => `${Array.from(row).join(" ")}\n`).join("");

/** Tokens of the conditions. */
export const GOLDEN_CONDITIONS = [0, 1].map((seed) => Int32Array.from({ length: 16 }, (_, i) => (i * (5 + seed)) % 32));

/** Weights that no generator of random numbers decides: the same with every libtorch. Uniform, none like another. */
const formula = (i: number, seed: number) => {
  const large = Math.sin(i * 12.9898 + seed * 78.233) * 43_758.5453;
  return Math.fround((large - Math.floor(large) - 0.5) * 1.6);
};

/** The model that the tokens are of. */
export function goldenExample(): Promise<Example> {
  return exampleOf("tiny", {
    unconditional: true,
    change: (transformer) =>
      noGrad(() => {
        [...transformer.stateDict().values()].forEach((weight, at) => {
          const data = Float32Array.from({ length: weight.numel() }, (_, i) => formula(i, at + 1));
          weight.copy_(tensor(data, { shape: weight.shape }));
        });
      }),
  });
}
