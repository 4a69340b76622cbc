import type { Bundle, ImageOptions } from "@iqvae/runtime";
import type { Settings } from "./settings.ts";

/** What the pictures of the grid have in common beside their condition. */
export type Source =
  /** Nothing: each has numbers of its own. */
  | { readonly kind: "fresh" }
  /** They are near the picture with this seed and number; the seed of the settings says which of those that are near. */
  | { readonly kind: "like"; readonly seed: number; readonly sample: number; readonly distance: number }
  /** A part is given: tokens, −1 where each has its own. */
  | { readonly kind: "redraw"; readonly fixed: Int32Array; readonly base: Int32Array };

export const FRESH: Source = { kind: "fresh" };

/** A source from a link, a file or the last visit, where the model can draw from it. */
export function fitting(source: Source, { grids, autoencoders }: Pick<Bundle, "grids" | "autoencoders">): Source {
  if (source.kind !== "redraw") return source;
  const count = grids.image[0] * grids.image[1];
  const fits = (tokens: Int32Array, least: number) =>
    tokens.length === count && tokens.every((token) => token >= least && token < autoencoders.image.codes);
  return fits(source.fixed, -1) && fits(source.base, 0) ? source : FRESH;
}

/** What is asked of the generator at once, and from which place of the grid on it is shown. */
export interface Part {
  readonly from: number;
  readonly options: ImageOptions;
}

/**
 * The requests that fill the grid. Noise is shared by all conditions: while somebody paints, the picture in one place stays the same
 * in all that was not painted.
 *
 * @param lead the place that comes first, alone: it is looked at
 */
export function partsOf(source: Source, settings: Settings, lead: number): readonly Part[] {
  const { samples } = settings;
  const single = { from: lead, options: partOf(source, settings, lead) };
  if (source.kind === "like") {
    const others = Array.from({ length: samples }, (_, place) => place).filter((place) => place !== lead);
    return [single, ...others.map((from) => ({ from, options: partOf(source, settings, from) }))];
  }
  const run = (from: number, end: number) =>
    end > from ? [{ from, options: { ...partOf(source, settings, from), samples: end - from } }] : [];
  return [single, ...run(0, lead), ...run(lead + 1, samples)];
}

/** The request that draws the picture in one place only. */
export function partOf(source: Source, settings: Settings, place: number): ImageOptions {
  const { seed, temperature, topP, guidance } = settings;
  const common = { seed, temperature, topP, guidance, samples: 1 } as const;
  const shared = { ...common, firstSample: place, noise: { kind: "shared" } } as const;
  switch (source.kind) {
    case "fresh":
      return shared;
    case "redraw":
      return { ...shared, fixed: [source.fixed] };
    case "like": {
      const share = place === 0 ? 0 : source.distance;
      const noise = { kind: "between", to: seed + place, share } as const;
      return { ...common, seed: source.seed, firstSample: source.sample, noise };
    }
  }
}
