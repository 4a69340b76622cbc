import { createHash } from "node:crypto";
import type { ImageSize } from "../dataset.ts";
import { annotationLicence } from "../emoji/annotations.ts";
import { drawEmoji, emojiLicences, emojiPlaceOf, versionsOf } from "../emoji/recipe.ts";
import { installedVersion } from "../licences.ts";
import { type Recipe, spread } from "../recipe.ts";
import { CAPTION, captionedConcepts } from "./captions.ts";

/** Raise it whenever the pixels, the captions or the order of the pairs change. */
const VERSION = 2;

/** Places in which each drawing stands with each caption. */
const PLACES = 3;

export interface WordsRequest {
  readonly size: ImageSize;
  /** The most pairs, spread over all that there are. */
  readonly count: number;
}

/**
 * How the `words` pairs are drawn: every drawing with every caption of its concept, in several places and sizes. There are few
 * drawings: a transformer soon knows them by heart, and then looks at what is drawn so far and no more at the words.
 */
export function wordsRecipe({ size, count }: WordsRequest): Recipe {
  const licences = [...emojiLicences(), annotationLicence()];
  return {
    name: "words",
    condition: CAPTION,
    parts: { version: VERSION, ...versionsOf(licences), sharp: installedVersion("sharp"), size, count },
    licences,
    prepare() {
      const all = captionedConcepts().flatMap(({ concept, captions, bytes }) =>
        concept.icons.flatMap((icon) =>
          captions.flatMap((caption, i) =>
            Array.from({ length: PLACES }, (_, place) => ({
              icon,
              id: `${icon.concept}/${icon.vendor}/${caption}/${place}`,
              condition: bytes[i]!,
            })),
          ),
        ),
      );
      const pairs = spread(all, count);
      const entries = pairs.map(({ icon, id }) => ({ id, validation: isDrawingHeldOut(icon) }));
      const draw = async (index: number) => {
        const { icon, id, condition } = pairs[index]!;
        return { image: await drawEmoji(icon, size, emojiPlaceOf(id)), condition };
      };
      return { entries, draw };
    },
  };
}

/**
 * Whether one vendor's drawing of a concept is held out: one in ten. The concept's other drawings are not, since nobody can
 * draw a word never heard of; what is asked for is a picture of the concept, not that very drawing.
 */
export function isDrawingHeldOut({ concept, vendor }: { readonly concept: string; readonly vendor: string }): boolean {
  return createHash("sha256").update(`${vendor}/${concept}`).digest().readUInt32LE(0) % 10 === 0;
}
