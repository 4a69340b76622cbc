import type { Bundle } from "@iqvae/runtime";

/** How pictures are drawn. */
export interface Settings {
  readonly seed: number;
  /** Whether a stroke leaves the seed as it is. */
  readonly locked: boolean;
  /** Pictures at once. */
  readonly samples: number;
  readonly temperature: number;
  readonly topP: number;
  readonly guidance: number;
}

export const MOST_SAMPLES = 24;

/** What settings depend on. */
type Model = Pick<Bundle, "sampling" | "transformer">;

/** What the model was exported with. */
function defaultSettings({ sampling: { temperature, topP, guidance } }: Model): Settings {
  return { seed: 1, locked: true, samples: 8, temperature, topP, guidance };
}

/** Any seed but this one. */
export function anotherSeed(seed: number): number {
  const next = 1 + Math.floor(Math.random() * 99_998);
  return next < seed ? next : next + 1;
}

/** Settings from a link, a file or the last visit: what means nothing to the model is left out. */
export function readSettings(value: unknown, model: Model): Settings {
  const defaults = defaultSettings(model);
  const given = (typeof value === "object" && value !== null ? value : {}) as Partial<Record<keyof Settings, unknown>>;
  const number = (name: Exclude<keyof Settings, "locked">, low: number, high: number, whole = false) => {
    const read = Number(given[name] ?? Number.NaN);
    const fits = read >= low && read <= high && (!whole || Number.isInteger(read));
    return fits ? read : defaults[name];
  };
  return {
    seed: number("seed", 0, 99_999_999, true),
    locked: typeof given.locked === "boolean" ? given.locked : defaults.locked,
    samples: number("samples", 1, MOST_SAMPLES, true),
    temperature: number("temperature", 0.05, 2),
    topP: number("topP", 0.05, 1),
    // They may be of an earlier model of this name, which could be guided.
    guidance: model.transformer.unconditional ? number("guidance", 0, 10) : 1,
  };
}
