import { readFileSync } from "node:fs";
import { join } from "node:path";
import { installedVersion, type License, packageFolder } from "../../licenses.ts";
import { EMOJI_VENDORS, type EmojiIcon, emojiIcons } from "./concepts.ts";

const CLDR = "cldr-annotations-full";

/** What Unicode's Common Locale Data Repository says of an emoji, in English. */
interface Annotation {
  /** The short name that a screen reader speaks. */
  readonly tts?: readonly string[];
  /** Keywords. */
  readonly default?: readonly string[];
}

interface AnnotationFile {
  readonly annotations: { readonly annotations: Readonly<Record<string, Annotation>> };
}

/** A concept with a plain English name, drawn by all vendors. */
export interface NamedConcept {
  /** One word: `banana`. */
  readonly name: string;
  /** CLDR's keywords but for the name itself, in CLDR's order and small letters. */
  readonly keywords: readonly string[];
  /** Its drawings, one a vendor, in the order of `EMOJI_VENDORS`. */
  readonly icons: readonly EmojiIcon[];
}

/**
 * The concepts whose CLDR name is one word and which all vendors draw, by name. They are what a person would call by this
 * name; of concepts with longer names (`face with monocle`) many are variants of one another.
 */
export function namedConcepts(): readonly NamedConcept[] {
  const keywords = keywordsByName();
  const drawn = new Map<string, EmojiIcon[]>();
  for (const icon of emojiIcons()) drawn.set(icon.concept, [...(drawn.get(icon.concept) ?? []), icon]);
  return [...drawn]
    .filter(([name]) => /^[a-z]+$/.test(name) && keywords.has(name))
    .flatMap(([name, icons]): NamedConcept[] => {
      const byVendor = EMOJI_VENDORS.map((vendor) => icons.find((icon) => icon.vendor === vendor));
      if (byVendor.includes(undefined)) return [];
      return [{ name, keywords: keywords.get(name)!, icons: byVendor as EmojiIcon[] }];
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function keywordsByName(): ReadonlyMap<string, readonly string[]> {
  const path = join(packageFolder(CLDR), "annotations", "en", "annotations.json");
  const { annotations } = (JSON.parse(readFileSync(path, "utf8")) as AnnotationFile).annotations;
  return new Map(
    Object.values(annotations).flatMap((annotation) => {
      const name = annotation.tts?.[0]?.toLowerCase();
      return name === undefined ? [] : [[name, keywordsOf(annotation, name)] as const];
    }),
  );
}

function keywordsOf({ default: words = [] }: Annotation, name: string): readonly string[] {
  return words.map((word) => word.toLowerCase()).filter((word) => word !== name);
}

/** Whose names and keywords these are. */
export function annotationLicense(): License {
  return {
    package: CLDR,
    version: installedVersion(CLDR),
    author: "Unicode, Inc.",
    license: "Unicode-3.0",
    url: "https://github.com/unicode-org/cldr-json",
  };
}
