import { svgs } from "facesjs";
import { drawColors, FACE_PALETTES, faceGeometryOf } from "../data/index.ts";
import { EMOJI_VENDORS } from "../data/sets/emoji/concepts.ts";
import { emojiGroups } from "../data/sets/emoji/groups.ts";
import { seededRandom } from "../support/random.ts";

/** One thing about an image that has a class, such as the id of the hair. */
export interface Attribute {
  readonly name: string;
  readonly classes: number;
}

/** Everything that is known about the images of a built-in set. */
export interface AttributeLabels {
  readonly attributes: readonly Attribute[];
  /** The class of each attribute for the pair of this id; −1 where there is none. */
  of(id: string): readonly number[];
}

/** The built-in sets whose attributes are known. */
export const ATTRIBUTE_SETS = ["faces", "emoji"] as const;
export type AttributeSet = (typeof ATTRIBUTE_SETS)[number];

export function attributeLabels(set: AttributeSet): AttributeLabels {
  return set === "faces" ? faceLabels() : emojiLabels();
}

/** Parts of a face that can be seen at 32 pixels. */
const PARTS = ["hair", "head", "eye", "eyebrow", "mouth", "nose", "ear", "jersey", "facialHair", "glasses"] as const;
const COLORS = [
  ["skin", FACE_PALETTES.skin],
  ["hair", FACE_PALETTES.hair],
  ["primary", FACE_PALETTES.team],
  ["secondary", FACE_PALETTES.team],
  ["background", FACE_PALETTES.background],
] as const;

/** The ids that a face is put together from, and its colors. */
function faceLabels(): AttributeLabels {
  const ids = PARTS.map((part) => [part, Object.keys(svgs[part]).sort()] as const);
  return {
    attributes: [
      ...ids.map(([part, names]) => ({ name: part, classes: names.length })),
      ...COLORS.map(([name, palette]) => ({ name: `${name} color`, classes: palette.length })),
    ],
    of: remembered((id) => {
      const geometry = faceGeometryOf(id);
      const [, seed, index] = /^face-(-?\d+)-(\d+)$/.exec(id)!;
      const colors = drawColors(seededRandom("face colours", Number(seed), Number(index)));
      return [
        ...ids.map(([part, names]) => names.indexOf(geometry[part].id)),
        ...COLORS.map(([name, palette]) => (palette as readonly string[]).indexOf(colors[name])),
      ];
    }),
  };
}

/** Laying a face out anew takes as long as a step of training does for one image. */
function remembered(labelsOf: (id: string) => readonly number[]): (id: string) => readonly number[] {
  const known = new Map<string, readonly number[]>();
  return (id) => {
    const labels = known.get(id) ?? labelsOf(id);
    known.set(id, labels);
    return labels;
  };
}

/** Who drew an emoji, and which of Unicode's groups it belongs to. */
function emojiLabels(): AttributeLabels {
  const groups = emojiGroups();
  const names = [...new Set(groups.values())].sort();
  return {
    attributes: [
      { name: "vendor", classes: EMOJI_VENDORS.length },
      { name: "group", classes: names.length },
    ],
    of(id) {
      const [concept, vendor] = id.split("/") as [string, string];
      return [(EMOJI_VENDORS as readonly string[]).indexOf(vendor), names.indexOf(groups.get(concept) ?? "")];
    },
  };
}
