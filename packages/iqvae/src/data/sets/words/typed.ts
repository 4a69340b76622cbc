import { choose, permutation, type Random, seededRandom } from "../../../support/random.ts";

/** Ways to ask that every concept gets. `{a}` is the name with an article, `{many}` its plural. */
const ALWAYS = ["{a}", "the {name}", "{many}"];

/** Ways to ask, of which every concept gets {@link SOME}: what stands around a name is to be learned apart from the name. */
const OTHERS = [
  ...["two {many}", "three {many}", "many {many}", "some {many}", "my {name}", "one {name}", "this is {a}"],
  ...["{name} please", "{name} emoji", "{name} icon", "{name} drawing", "{name} picture", "just {a}"],
  ...["draw {a}", "draw me {a}", "show me {a}", "i want {a}", "give me {a}", "make {a}", "paint {a}"],
  ...["i would like {a}", "can you draw {a}", "please draw {a}", "could i have {a}", "let me see {a}"],
  ...["look at the {name}", "i love {many}", "there is {a}", "an image with {a}", "it is {a}"],
  ...["your {name}", "that {name}", "any {name}"],
  ...["picture of {a}", "a picture of {a}", "photo of {a}", "image of {a}", "drawing of {a}", "emoji of {a}"],
  ...["cute {name}", "a cute {name}", "little {name}", "a little {name}", "cute little {name}", "small {name}"],
  ...["big {name}", "a big {name}", "the big {name}", "nice {name}", "a nice {name}", "funny {name}", "happy {name}"],
  ...["old {name}", "young {name}", "fresh {name}", "sweet {name}", "wild {name}", "beautiful {name}", "single {name}"],
  ...["red {name}", "green {name}", "blue {name}", "yellow {name}", "black {name}", "white {name}", "brown {name}"],
];
const SOME = 20;
/** Slips of each name that is long enough to be known in spite of one. */
const SLIPS = 3;
const LONG_ENOUGH = 4;

/** The share that ends with a mark. */
const MARKED = 0.12;

/**
 * What people type who want a picture of a concept, besides what a dictionary says of it: articles, plurals, words around the name,
 * marks, and slips; in small letters, as everything is read. Decided by the name alone.
 *
 * @param taken names that no slip may turn into
 */
export function typedCaptions(name: string, taken: ReadonlySet<string>): readonly string[] {
  const random = seededRandom("typed", name);
  const others = [...permutation(OTHERS.length, random).subarray(0, SOME)].map((i) => OTHERS[i]!);
  const slips = name.length < LONG_ENOUGH ? [] : Array.from({ length: SLIPS }, () => slip(name, random));
  return [
    ...ALWAYS.map((way) => filled(way, name)),
    ...[...others.map((way) => filled(way, name)), ...slips.filter((text) => !taken.has(text))].map((text) =>
      marked(text, random),
    ),
  ];
}

/** A caption without a mark at its end: two that are the same then belong to the same part of the set. */
export function plainCaption(caption: string): string {
  return caption.replace(/[.!?]$/, "");
}

function filled(way: string, name: string): string {
  return way.replace("{a}", withArticle(name)).replace("{many}", plural(name)).replace("{name}", name);
}

function withArticle(name: string): string {
  const article = isPlural(name) ? "some" : /^[aeiou]/.test(name) && name !== "unicorn" && name !== "ewe" ? "an" : "a";
  return `${article} ${name}`;
}

const isPlural = (name: string) => /[^uo]s$/.test(name);

const IRREGULAR: Readonly<Record<string, string>> = {
  ...{ deer: "deer", fish: "fish", shrimp: "shrimp", squid: "squid" },
  ...{ mouse: "mice", ox: "oxen", potato: "potatoes", tomato: "tomatoes", wolf: "wolves" },
};

function plural(name: string): string {
  if (isPlural(name)) return name;
  const regular = /(s|x|ch|sh)$/.test(name) ? `${name}es` : `${name.replace(/([^aeiou])y$/, "$1ie")}s`;
  return IRREGULAR[name] ?? regular;
}

function marked(text: string, random: Random): string {
  return random() < MARKED ? text + choose([".", "!", "?"], random) : text;
}

/** A name with a letter left out, doubled, or swapped with the next; never the first. */
function slip(name: string, random: Random): string {
  const at = 1 + Math.floor(random() * (name.length - 2));
  const [before, letter, next, after] = [name.slice(0, at), name[at]!, name[at + 1]!, name.slice(at + 2)];
  return before + choose([next, letter + letter + next, next + letter], random) + after;
}
