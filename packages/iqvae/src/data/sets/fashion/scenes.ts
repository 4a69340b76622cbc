import { type LayoutSpec, layoutBytes } from "../../../conditions/index.ts";
import { choose, type Random, seededRandom } from "../../../support/random.ts";
import type { ImageSize } from "../../dataset.ts";
import { once } from "../../once.ts";
import { editionsOf, type PackageSource, packageLicense } from "../../packages.ts";
import type { Recipe } from "../../recipe.ts";
import { isLayoutHeldOut, placeBoxes, type SceneBox } from "../scenes/boxes.ts";
import { type Sprite, stamp } from "../scenes/sprites.ts";
import { FASHION_KINDS, type FashionPart, fashion, GARMENT_SIDE, type Garments, silhouette } from "./garments.ts";
import { FASHION } from "./packages.ts";

/** Raise it whenever the pixels or the boxes change. */
const VERSION = 1;

const [FEWEST, MOST] = [2, 5];

/** What scenes of garments are conditioned on. */
export const FASHION_LAYOUT: LayoutSpec = { kind: "layout", classes: FASHION_KINDS, boxes: MOST };

export const FASHION_SCENE_SIZES = [32, 64, 128] as const satisfies readonly ImageSize[];

/**
 * Width over height of a box, by kind: medians of what the garments of the training half fill, to one digit. A box must not tell
 * which garment it was made for, or not every one of its kind would be equally likely in it.
 */
const SHAPES = [0.8, 0.4, 0.8, 0.5, 0.7, 1.9, 0.8, 2.2, 1.1, 1.3] as const;

export interface FashionScenesRequest {
  readonly size: ImageSize;
  readonly count: number;
  readonly seed: number;
}

/**
 * How the `fashion-scenes` pairs are drawn. Scene number `i` depends on the seed and on `i` alone; those of held-out layouts show
 * garments of the held-out half. In each box any garment of its kind stands, equally likely, whatever else is in the scene.
 */
export function fashionScenesRecipe({ size, count, seed }: FashionScenesRequest, source: PackageSource): Recipe {
  const shelves = once(async () => {
    const all = await fashion(source);
    return { train: shelvesOf(all.train), test: shelvesOf(all.test) };
  });
  const drawScene = async (boxes: readonly SceneBox[], part: FashionPart, side: number, random: Random) => {
    const kinds = (await shelves())[part];
    const image = new Uint8Array(side * side * 3).fill(255);
    for (const { label, left, top, width, height } of boxes) {
      const scale = side / 255;
      const place = { left: left * scale, top: top * scale, width: width * scale, height: height * scale };
      stamp(image, side, choose(kinds[label]!, random)(), place);
    }
    return image;
  };
  return {
    name: "fashion-scenes",
    condition: FASHION_LAYOUT,
    facts: {
      async trueImages(id, many, side, random) {
        const boxes = layoutOf(...numbersOf(id));
        const part = partOf(boxes);
        const images = Array.from({ length: many }, () => drawScene(boxes, part, side, random));
        return new Uint8Array(Buffer.concat(await Promise.all(images)));
      },
    },
    parts: { version: VERSION, ...editionsOf([FASHION]), size, count, seed },
    licenses: [packageLicense(FASHION)],
    async prepare() {
      await shelves();
      const layouts = Array.from({ length: count }, (_, i) => layoutOf(seed, i));
      const entries = layouts.map((boxes, i) => ({
        id: `fashion-scene-${seed}-${i}`,
        validation: partOf(boxes) === "test",
      }));
      const draw = async (index: number) => {
        const boxes = layouts[index]!;
        const random = seededRandom("fashion scene look", seed, index);
        return {
          image: await drawScene(boxes, partOf(boxes), size, random),
          condition: layoutBytes(boxes, FASHION_LAYOUT),
        };
      };
      return { entries, draw };
    },
  };
}

function partOf(boxes: readonly SceneBox[]): FashionPart {
  return isLayoutHeldOut(layoutBytes(boxes, FASHION_LAYOUT)) ? "test" : "train";
}

function layoutOf(seed: number, index: number): readonly SceneBox[] {
  const random = seededRandom("fashion scene layout", seed, index);
  const wanted = FEWEST + Math.floor(random() * (MOST - FEWEST + 1));
  return placeBoxes(wanted, random, (_, placed) => {
    const label = Math.floor(random() * FASHION_KINDS.length);
    const side = 60 + random() * (placed < 2 && wanted < 4 ? 60 : 30);
    const stretch = Math.sqrt(SHAPES[label]! * (0.9 + 0.2 * random()));
    const [width, height] = [Math.round(side * stretch), Math.round(side / stretch)];
    const left = Math.floor(random() * (255 - width + 1));
    const top = Math.floor(random() * (255 - height + 1));
    return { label, left, top, width, height };
  });
}

/** Of each kind its garments, each cut to what it fills when it is asked for. */
function shelvesOf({ labels, ink }: Garments): readonly (readonly (() => Sprite)[])[] {
  return FASHION_KINDS.map((_, label) =>
    [...labels.keys()].filter((i) => labels[i] === label).map((i) => () => cutOut(ink(i))),
  );
}

/** A garment without its margins, opaque on white. */
export function cutOut(ink: Uint8Array): Sprite {
  const covered = silhouette(ink);
  let [left, top, right, bottom] = [GARMENT_SIDE, GARMENT_SIDE, -1, -1];
  covered.forEach((is, at) => {
    if (is === 0) return;
    const [x, y] = [at % GARMENT_SIDE, Math.floor(at / GARMENT_SIDE)];
    [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
  });
  const [width, height] = [right - left + 1, bottom - top + 1];
  const pixels = new Uint8Array(width * height * 4).fill(255);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const gray = 255 - ink[(top + y) * GARMENT_SIDE + left + x]!;
      pixels.fill(gray, 4 * (y * width + x), 4 * (y * width + x) + 3);
    }
  }
  return { pixels, width, height };
}

function numbersOf(id: string): [seed: number, index: number] {
  const [, seed, index] = /^fashion-scene-(-?\d+)-(\d+)$/.exec(id) ?? [];
  if (seed !== undefined && index !== undefined) return [Number(seed), Number(index)];
  throw new RangeError(
    `expected an id of a scene of garments, such as "fashion-scene-0-17", got ${JSON.stringify(id)}.`,
  );
}
