import type { Rgb } from "../conditions/spec.ts";
import type { Random } from "../support/random.ts";
import type { ImageSize } from "./dataset.ts";

/** What is known of the pairs of a data set beyond their bytes; each by the id of a pair. */
export interface PairFacts {
  /** A name that pairs have in common which show the same, such as views of one hand. Default: each pair has its own. */
  group?(id: string): string;
  /** A name that pairs have in common whose image is one, turned or mirrored perhaps. Default: each pair has its own. */
  picture?(id: string): string;
  /** What the pair is a picture of, where others are pictures of it too. Default: the condition itself. */
  concept?(id: string): string;
  /** Whether the condition is what `colorEdges` finds in the image. */
  readonly edgesOfImage?: true;
  /** Draws true images of the pair's condition: RGB bytes `[count, size, size, 3]`. */
  trueImages?(id: string, count: number, size: ImageSize, random: Random): Promise<Uint8Array>;
  /** What conditions leave open, where it is known how that is spread. */
  readonly open?: OpenTraits;
}

/** What the condition of a pair leaves open. */
export interface OpenTraits {
  /** In a word: `colors`, `outfits`, `vendors`. */
  readonly what: string;
  of(id: string, size: ImageSize): Promise<readonly OpenTrait[]>;
}

/** One thing that a condition leaves open. Its modes are equally likely, whatever other traits are. */
export interface OpenTrait {
  readonly name: string;
  /** Where in the image it shows: the pixels of a class of a map `[size, size]`. Default: everywhere. */
  readonly region?: { readonly map: Uint8Array; readonly label: number };
  readonly modes: OpenModes;
}

/** How the modes of a trait look. */
export type OpenModes =
  | { readonly kind: "colors"; readonly colors: readonly Rgb[] }
  /** RGB bytes `[size, size, 3]` each. */
  | { readonly kind: "pictures"; readonly pictures: readonly Uint8Array[] };
