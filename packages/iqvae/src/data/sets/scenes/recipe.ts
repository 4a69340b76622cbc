import { GOLDEN_ANGLE, hslColor, type LayoutSpec, layoutBytes } from "../../../conditions/index.ts";
import { choose, type Random, seededRandom } from "../../../support/random.ts";
import type { ImageSize, Rgb } from "../../dataset.ts";
import { installedVersion } from "../../licenses.ts";
import type { Recipe } from "../../recipe.ts";
import { annotationLicense, type NamedConcept, namedConcepts } from "../emoji/annotations.ts";
import { emojiLicenses, versionsOf } from "../emoji/recipe.ts";
import { isLayoutHeldOut, placeBoxes, type SceneBox } from "./boxes.ts";
import { type Sprite, spriteOf, stamp } from "./sprites.ts";

/** Raise it whenever the pixels or the boxes change. */
const VERSION = 1;

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
const [FEWEST, MOST] = [2, 5];

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
      const layouts = Array.from({ length: count }, (_, i) => drawLayout(seededRandom("scene layout", seed, i)));
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

/** Their shapes stay near a square, as the drawings are. */
function drawLayout(random: Random): readonly SceneBox[] {
  const wanted = FEWEST + Math.floor(random() * (MOST - FEWEST + 1));
  return placeBoxes(wanted, random, (_, placed) => {
    const side = 60 + random() * (placed < 2 && wanted < 4 ? 90 : 45);
    const stretch = 0.85 + 0.3 * random();
    const [width, height] = [Math.round(side * stretch), Math.round(side / stretch)];
    const left = Math.floor(random() * (255 - width + 1));
    const top = Math.floor(random() * (255 - height + 1));
    return { label: Math.floor(random() * SCENE_CLASSES.length), left, top, width, height };
  });
}

/** Dark enough for letters on white. */
function colorOf(index: number): Rgb {
  return hslColor(index * GOLDEN_ANGLE, 0.875, 0.4);
}
