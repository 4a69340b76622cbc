import { textBytes } from "../../../conditions/index.ts";
import type { TextSpec } from "../../../conditions/spec.ts";
import { type NamedConcept, namedConcepts } from "../emoji/annotations.ts";
import { emojiGroups } from "../emoji/groups.ts";
import { typedCaptions } from "./typed.ts";

/** What words are conditioned on. */
export const CAPTION: TextSpec = { kind: "text", length: 32, lowercase: true };

/** Captions of a concept with keywords, besides its name. */
const WITH_KEYWORDS = 3;

/**
 * What a dictionary has for a concept: its name, its name with a keyword after it, and a keyword with the name after it.
 */
export function captionsOf({ name, keywords }: NamedConcept): readonly string[] {
  const fitting = keywords.filter((word) => fits(`${name} ${word}`));
  const chosen = fitting.slice(0, WITH_KEYWORDS);
  return [name, ...chosen.map((word, i) => (i % 2 === 0 ? `${name} ${word}` : `${word} ${name}`))];
}

const fits = (caption: string) => new TextEncoder().encode(caption).length <= CAPTION.length;

/** What words and speech are about [O]: with all groups, thrice as many names, 3,000 steps of stage 2 were too few. */
const GROUPS = ["animals", "food"];

/** The concepts that words and speech name: animals, plants, food and drink. */
export function spokenConcepts(): readonly NamedConcept[] {
  const groups = emojiGroups();
  return namedConcepts().filter(({ name }) => GROUPS.includes(groups.get(name)!));
}

/** These concepts with all their captions, those of {@link captionsOf} and {@link typedCaptions}, as bytes too. */
export function captionedConcepts() {
  const concepts = spokenConcepts();
  const names = new Set(concepts.map(({ name }) => name));
  return concepts.map((concept) => {
    const all = new Set([...captionsOf(concept), ...typedCaptions(concept.name, names)]);
    const captions = [...all].filter(fits);
    return { concept, captions, bytes: captions.map((caption) => textBytes(caption, CAPTION)) };
  });
}
