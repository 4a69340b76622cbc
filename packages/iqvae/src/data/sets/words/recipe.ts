import { createHash } from "node:crypto";
import type { ImageSize } from "../../dataset.ts";
import { installedVersion } from "../../licenses.ts";
import { onceEach } from "../../once.ts";
import { type Recipe, spread } from "../../recipe.ts";
import { annotationLicense } from "../emoji/annotations.ts";
import type { EmojiIcon } from "../emoji/concepts.ts";
import { drawEmoji, emojiLicenses, versionsOf } from "../emoji/recipe.ts";
import { CAPTION, captionedConcepts } from "./captions.ts";
import { NAMED_FACTS } from "./facts.ts";
import { plainCaption } from "./typed.ts";

/** Raise it whenever the pixels, the captions or the order of the pairs change. */
const VERSION = 6;

export interface WordsRequest {
  readonly size: ImageSize;
  /** The most pairs, spread over all that there are. */
  readonly count: number;
}

/** How the `words` pairs are drawn: every drawing with every caption of its concept. Nothing about them is random. */
export function wordsRecipe({ size, count }: WordsRequest): Recipe {
  const licenses = [...emojiLicenses(), annotationLicense()];
  return {
    name: "words",
    condition: CAPTION,
    parts: { version: VERSION, ...versionsOf(licenses), sharp: installedVersion("sharp"), size, count },
    facts: NAMED_FACTS,
    licenses,
    prepare() {
      const all = captionedConcepts().flatMap(({ concept, captions, bytes }) =>
        concept.icons.flatMap((icon) => captions.map((caption, i) => ({ icon, caption, condition: bytes[i]! }))),
      );
      const pairs = spread(all, count);
      const entries = pairs.map(({ icon, caption }) => ({
        id: `${icon.concept}/${icon.vendor}/${caption}`,
        validation: isCaptionHeldOut(icon.concept, caption),
      }));
      const drawn = onceEach(
        (icon: EmojiIcon) => drawEmoji(icon, size),
        ({ concept, vendor }) => `${concept}/${vendor}`,
      );
      const draw = async (index: number) => {
        const { icon, condition } = pairs[index]!;
        return { image: await drawn(icon), condition };
      };
      return { entries, draw };
    },
  };
}

/**
 * Whether a caption is held out, with all drawings: one in seven of those that are not just the name, whatever mark it ends with. The
 * drawings are in training under the concept's other captions, since nobody can draw a word never heard of; what is asked for
 * is that other words for it lead to the same pictures.
 */
export function isCaptionHeldOut(concept: string, caption: string): boolean {
  const plain = plainCaption(caption);
  return plain !== concept && createHash("sha256").update(plain).digest().readUInt32LE(0) % 7 === 0;
}
