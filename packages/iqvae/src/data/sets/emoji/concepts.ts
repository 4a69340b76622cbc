import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageFolder } from "../../licenses.ts";

/** The sets whose drawings are used: npm packages `@iconify-json/…`. */
export const EMOJI_VENDORS = ["openmoji", "twemoji", "noto", "fluent-emoji-flat", "emojione"] as const;
export type EmojiVendor = (typeof EMOJI_VENDORS)[number];

/** One drawing. */
export interface EmojiIcon {
  readonly vendor: EmojiVendor;
  /** The vendor's own name, such as `woman-artist`. */
  readonly name: string;
  /** What it is a drawing of, such as `artist`: equal for all vendors and for man, woman and person. */
  readonly concept: string;
  /** A whole SVG document but for its size: see {@link emojiSvg}. */
  readonly body: string;
  readonly width: number;
  readonly height: number;
}

/** The parts of an iconify file that are read. */
interface IconifySet {
  readonly width?: number;
  readonly height?: number;
  readonly icons: Readonly<Record<string, { body: string; width?: number; height?: number; hidden?: boolean }>>;
  readonly aliases?: Readonly<Record<string, { parent: string }>>;
}

/** A concept must be drawn by this many vendors to be kept. */
const VENDORS_NEEDED = 3;

/**
 * All drawings of the data set, in an order that the packages alone decide. Where a vendor draws a man, a woman and a
 * person doing one thing, one of them is kept.
 */
export function emojiIcons(): readonly EmojiIcon[] {
  const sets = EMOJI_VENDORS.map((vendor) => [vendor, readSet(vendor)] as const);
  const users = new Map<string, number>();
  for (const [, set] of sets) {
    for (const name of Object.keys(set.icons)) users.set(name, (users.get(name) ?? 0) + 1);
  }
  const icons = sets.flatMap(([vendor, set]) => iconsOf(vendor, set, commonNames(set, users)));
  const vendors = new Map<string, Set<EmojiVendor>>();
  for (const { concept, vendor } of icons) {
    vendors.set(concept, (vendors.get(concept) ?? new Set()).add(vendor));
  }
  return icons.filter(({ concept }) => vendors.get(concept)!.size >= VENDORS_NEEDED);
}

function readSet(vendor: EmojiVendor): IconifySet {
  const file = join(packageFolder(`@iconify-json/${vendor}`), "icons.json");
  return JSON.parse(readFileSync(file, "utf8")) as IconifySet;
}

/** For icons that a vendor also knows by other names: the name that most vendors use (`bear-face` is `bear`). */
function commonNames(set: IconifySet, users: ReadonlyMap<string, number>): ReadonlyMap<string, string> {
  const common = new Map<string, string>();
  for (const [alias, { parent }] of Object.entries(set.aliases ?? {})) {
    const best = common.get(parent) ?? parent;
    if ((users.get(alias) ?? 0) > (users.get(best) ?? 0)) common.set(parent, alias);
  }
  return common;
}

function iconsOf(vendor: EmojiVendor, set: IconifySet, common: ReadonlyMap<string, string>): EmojiIcon[] {
  const seen = new Set<string>();
  const icons: EmojiIcon[] = [];
  // Sorted so that `person-…`, where there is one, stands for all; a neutral name such as `artist` goes before.
  const rank = (name: string) => (/(?:^|-)(?:wo)?m[ae]n(?:-|$)/.test(name) ? 1 : 0);
  const names = Object.keys(set.icons).sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  for (const key of names) {
    const icon = set.icons[key]!;
    const name = common.get(key) ?? key;
    if (icon.hidden || isDropped(key) || isDropped(name)) continue;
    const act = mergePeople(name);
    if (seen.has(icon.body) || seen.has(act)) continue;
    seen.add(icon.body).add(act);
    const width = icon.width ?? set.width ?? 16;
    const height = icon.height ?? set.height ?? 16;
    icons.push({ vendor, name: key, concept: conceptOfName(name), body: icon.body, width, height });
  }
  return icons;
}

/** Signs rather than drawings, and skin tones: the same picture in another color. */
const DROPPED = [
  /-skin-tone/,
  /-(?:light|medium-light|medium|medium-dark|dark)$/,
  /(?:^|-)flags?(?:-|$)/,
  /^keycap/,
  /^letter-/,
  /-(?:oclock|thirty)$/,
  /-button(?:-|$)/,
  /^(?!.*-(?:with|and)-arrow).*(?:^|-)arrows?(?:-|$)/,
];

function isDropped(name: string): boolean {
  return DROPPED.some((pattern) => pattern.test(name));
}

type Merge = readonly [RegExp, string];

/** From the many people who do one thing to the thing that is done, in this order. */
const PEOPLE: readonly Merge[] = [
  [/-facing-right$/, ""],
  [/^family-.*/, "family"],
  [/^(couple-with-heart|kiss)-(?:man|woman|person).*/, "$1"],
  [/.*-holding-hands$/, "people-holding-hands"],
  [/^(?:mermaid|merman)$/, "merperson"],
  [/^(?:old-man|old-woman)$/, "older-person"],
  [/^(?:mrs|mx|santa)-claus$/, "santa-claus"],
  [/^(?:mens|womens)-room$/, "restroom"],
  [/^(?:boy|girl)$/, "child"],
  [/(?<=^|-)(?:man|woman)(?=-|$)/g, "person"],
  [/(?<=^|-)(?:men|women)(?=-|$)/g, "people"],
  [/^(?:person|people)-/, ""],
];

/** One shape in several colors: if they were two concepts, the same edges could come up in both parts. */
const COLORS: Merge = [
  /^(?:(?:light-)?blue|red|orange|yellow|green|purple|brown|black|white|pink|gray)-(heart|circle|square|book)$/,
  "$1",
];

function mergePeople(name: string): string {
  return PEOPLE.reduce((merged, [pattern, replacement]) => merged.replace(pattern, replacement), name);
}

/** What a drawing shows, from a vendor's name for it: `woman-artist` is `artist`, `red-heart` is `heart`. */
export function conceptOfName(name: string): string {
  return mergePeople(name).replace(...COLORS);
}

/** Whether a concept, with all its drawings, belongs to validation: one in ten. */
export function isConceptHeldOut(concept: string): boolean {
  // The first 8 of 40 hexadecimal digits: enough for a remainder by 10.
  return Number.parseInt(createHash("sha1").update(concept).digest("hex").slice(0, 8), 16) % 10 === 0;
}

/** Space around a drawing, as a share of its side: none of its edges may lie on the image's border. */
const MARGIN = 0.04;

/** A drawing as an SVG document on white, centered in a square of `pixels` × `pixels`. */
export function emojiSvg({ body, width, height }: EmojiIcon, pixels: number): string {
  const side = Math.max(width, height) * (1 + 2 * MARGIN);
  const x = (width - side) / 2;
  const y = (height - side) / 2;
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ` +
    `width="${pixels}" height="${pixels}" viewBox="${x} ${y} ${side} ${side}">` +
    `<rect x="${x}" y="${y}" width="${side}" height="${side}" fill="#fff"/>${body}</svg>`
  );
}
