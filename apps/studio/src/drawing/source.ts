import type { ImageOptions } from "@iqvae/runtime";
import type { Settings } from "./settings.ts";

/** What the pictures of the grid have in common beside their condition. */
export type Source =
  /** Nothing: each has numbers of its own. */
  | { readonly kind: "fresh" }
  /** They are near the picture with this number. */
  | { readonly kind: "like"; readonly sample: number; readonly distance: number }
  /** A part is given: tokens, −1 where each has its own. */
  | { readonly kind: "redraw"; readonly fixed: Int32Array; readonly base: Int32Array };

export const FRESH: Source = { kind: "fresh" };

/** What is asked of the generator at once, and from which place of the grid on it is shown. */
export interface Part {
  readonly from: number;
  readonly options: ImageOptions;
}

/**
 * The requests that fill the grid. Noise is shared by all conditions: while somebody paints, the picture in one place stays the same
 * in all that was not painted.
 */
export function partsOf(source: Source, settings: Settings): readonly Part[] {
  const { seed, samples, temperature, topP, guidance } = settings;
  const common = { seed, temperature, topP, guidance, noise: { kind: "shared" } } as const;
  switch (source.kind) {
    case "fresh":
      return [{ from: 0, options: { ...common, samples } }];
    case "redraw":
      return [{ from: 0, options: { ...common, samples, fixed: [source.fixed] } }];
    case "like":
      return Array.from({ length: samples }, (_, place) => ({
        from: place,
        options: {
          ...common,
          firstSample: source.sample,
          noise: { kind: "between", to: seed + place, share: place === 0 ? 0 : source.distance },
        },
      }));
  }
}

/** The request that draws the picture in one place only. */
export function partOf(source: Source, settings: Settings, place: number): ImageOptions {
  const parts = partsOf(source, settings);
  const [only] = parts;
  if (parts.length > 1) return parts[Math.min(place, parts.length - 1)]!.options;
  return { ...only!.options, samples: 1, firstSample: place };
}
