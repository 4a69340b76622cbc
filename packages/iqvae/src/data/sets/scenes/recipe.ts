import { GOLDEN_ANGLE, hslColor, type LayoutSpec, layoutBytes } from "../../../conditions/index.ts";
import { choose, type Random, seededRandom } from "../../../support/random.ts";
import type { ImageSize, Rgb } from "../../dataset.ts";
import { installedVersion } from "../../licenses.ts";
import type { Recipe } from "../../recipe.ts";
import { annotationLicense, type NamedConcept, namedConcepts } from "../emoji/annotations.ts";
import { emojiLicenses, versionsOf } from "../emoji/recipe.ts";
import { areaOf, isLayoutHeldOut, placeBoxes, type SceneBox } from "./boxes.ts";
import { type Sprite, spriteOf, stamp } from "./sprites.ts";

/** Raise it whenever the pixels or the boxes change. */
const VERSION = 2;

/** Names of the classes: concepts of one word, drawn by all vendors, that CLDR calls a fruit or a flower. */
export const SCENE_CLASSES = [
  "avocado",
  "banana",
  "blossom",
  "bouquet",
  "cherries",
  "grapes",
  "hibiscus",
  "lemon",
  "melon",
  "peach",
  "pear",
  "pineapple",
  "rose",
  "strawberry",
  "sunflower",
  "tangerine",
  "tomato",
  "tulip",
  "watermelon",
] as const;

const KEYWORDS = ["fruit", "flower"] as const;
const [FEWEST, MOST] = [1, 5];

/** What scenes are conditioned on. */
export const SCENE_LAYOUT: LayoutSpec = {
  kind: "layout",
  classes: SCENE_CLASSES.map((name, i) => ({ name, color: colorOf(i) })),
  boxes: MOST,
};

/** The ground of a scene: each equally likely, whatever the boxes. */
export const SCENE_GROUNDS: readonly Rgb[] = [
  [255, 255, 255],
  [214, 234, 248],
  [213, 245, 227],
  [252, 243, 207],
  [250, 219, 216],
  [232, 218, 239],
  [120, 144, 156],
  [55, 71, 79],
];

export interface ScenesRequest {
  readonly size: ImageSize;
  readonly count: number;
  readonly seed: number;
}

/** How the `scenes` pairs are drawn. Scene number `i` depends on the seed and on `i` alone. */
export function scenesRecipe({ size, count, seed }: ScenesRequest): Recipe {
  const licenses = [...emojiLicenses(), annotationLicense()];
  return {
    name: "scenes",
    condition: SCENE_LAYOUT,
    parts: { version: VERSION, ...versionsOf(licenses), sharp: installedVersion("sharp"), size, count, seed },
    licenses,
    prepare() {
      const sprites = new Map<number, Promise<readonly Sprite[]>>();
      const concepts = sceneConcepts();
      const vendorsOf = (label: number): Promise<readonly Sprite[]> => {
        const known = sprites.get(label) ?? Promise.all(concepts[label]!.icons.map(spriteOf));
        sprites.set(label, known);
        return known;
      };
      const layouts = Array.from({ length: count }, (_, i) => sceneLayout(seededRandom("scene layout", seed, i)));
      const conditions = layouts.map((boxes) => layoutBytes(boxes, SCENE_LAYOUT));
      const entries = conditions.map((bytes, i) => ({ id: `scene-${seed}-${i}`, validation: isLayoutHeldOut(bytes) }));
      const draw = async (index: number) => {
        const random = seededRandom("scene look", seed, index);
        const image = new Uint8Array(size * size * 3);
        const ground = choose(SCENE_GROUNDS, random);
        for (let at = 0; at < image.length; at += 3) image.set(ground, at);
        for (const { label, left, top, width, height } of layouts[index]!) {
          const scale = size / 255;
          const place = { left: left * scale, top: top * scale, width: width * scale, height: height * scale };
          stamp(image, size, choose(await vendorsOf(label), random), place);
        }
        return { image, condition: conditions[index]! };
      };
      return { entries, draw };
    },
  };
}

/** The concepts that {@link SCENE_CLASSES} names, by the rule that it states. */
export function sceneConcepts(): readonly NamedConcept[] {
  return namedConcepts().filter(({ keywords }) => KEYWORDS.some((word) => keywords.includes(word)));
}

/** Sides of boxes, in 0 … 255: the least, and the most where there are one, two, … of them. */
const SIDES = { least: 44, most: [240, 190, 150, 120, 105] } as const;
/** Half of the boxes are near squares, as the drawings are; of the others a side is this much longer at most. */
const LONGEST = { near: 1.35, other: 2.5 } as const;
/** The share of a box that another may cover: things in front of others. */
const COVERED = 0.3;

/** Layouts as people draw them: from one thing that fills the picture to five small ones, broad, tall, and one before another. */
export function sceneLayout(random: Random): readonly SceneBox[] {
  const wanted = FEWEST + Math.floor(random() * (MOST - FEWEST + 1));
  const most = SIDES.most[wanted - 1]!;
  const propose = () => {
    const side = SIDES.least * (most / SIDES.least) ** random();
    const longest = random() < 0.5 ? LONGEST.near : LONGEST.other;
    const stretch = Math.sqrt(longest ** (2 * random() - 1));
    const [width, height] = [side * stretch, side / stretch].map((length) => Math.min(255, Math.round(length)));
    const [left, top] = [width!, height!].map((length) => Math.floor(random() * (255 - length + 1)));
    const label = Math.floor(random() * SCENE_CLASSES.length);
    return { label, left: left!, top: top!, width: width!, height: height! };
  };
  const boxes = placeBoxes(wanted, random, propose, COVERED);
  return [...boxes].sort((one, other) => areaOf(other) - areaOf(one)); // the small stand in front of the large
}

/** Dark enough for letters on white. */
function colorOf(index: number): Rgb {
  return hslColor(index * GOLDEN_ANGLE, 0.875, 0.4);
}
