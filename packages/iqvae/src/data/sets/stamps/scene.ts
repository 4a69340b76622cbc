import { choose, type Random } from "../../../support/random.ts";
import { placeBoxes, type SceneBox } from "../scenes/boxes.ts";
import { type Sprite, stamp } from "../scenes/sprites.ts";
import { type Ground, groundSquare, mirrored, STAMP_CLASSES } from "./cut-outs.ts";

/** The most objects of a scene. */
export const MOST_STAMPS = 3;

/** All that scenes are made of. */
export interface Stamps {
  /** By class. */
  readonly objects: readonly (readonly Sprite[])[];
  readonly grounds: readonly Ground[];
}

/** An object in its box. */
export interface Standing {
  readonly box: SceneBox;
  readonly object: Sprite;
}

/** One to three classes, independent. */
export function drawClasses(random: Random): readonly number[] {
  const wanted = 1 + Math.floor(random() * MOST_STAMPS);
  return Array.from({ length: wanted }, () => Math.floor(random() * STAMP_CLASSES.length));
}

/** How often boxes are drawn anew when they do not fit beside each other. */
const ATTEMPTS = 200;

/** A box for each class, in the shape of one of its objects, more or less. */
export function drawBoxes(classes: readonly number[], { objects }: Stamps, random: Random): readonly SceneBox[] {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const boxes = placeBoxes(classes.length, random, (_, placed) => {
      const label = classes[placed]!;
      const { width: w, height: h } = choose(objects[label]!, random);
      const shape = Math.min(LONGEST, Math.max(1 / LONGEST, (w / h) * (0.9 + 0.2 * random())));
      const side = 70 + random() * (classes.length === 1 ? 80 : 40);
      const width = Math.round(side * Math.sqrt(shape));
      const height = Math.round(side / Math.sqrt(shape));
      const left = Math.floor(random() * (255 - width + 1));
      const top = Math.floor(random() * (255 - height + 1));
      return { label, left, top, width, height };
    });
    if (boxes.length === classes.length) return boxes;
  }
  throw new Error(`drawBoxes: ${classes.length} boxes did not fit beside each other in ${ATTEMPTS} attempts.`);
}

/** The longest shape of a box: longer side over shorter. What is longer is squeezed. */
const LONGEST = 2.5;
/** How much an object may be stretched to fit a box. */
const MOST_STRETCH = 1.3;

/** Objects that may stand in a box: those of its class that need not be stretched by more than {@link MOST_STRETCH}. */
export function fitting({ label, width, height }: SceneBox, { objects }: Stamps): readonly Sprite[] {
  const stretch = (object: Sprite) => Math.abs(Math.log(((object.width / object.height) * height) / width));
  const all = objects[label]!;
  const fit = all.filter((object) => stretch(object) <= Math.log(MOST_STRETCH));
  // What was squeezed into the longest shape.
  return fit.length > 0 ? fit : [all.reduce((best, object) => (stretch(object) < stretch(best) ? object : best))];
}

/** An object for each box, equally likely among those that fit, and as likely as not seen in a mirror. */
export function drawObjects(boxes: readonly SceneBox[], stamps: Stamps, random: Random): readonly Standing[] {
  return boxes.map((box) => {
    const object = choose(fitting(box, stamps), random);
    return { box, object: random() < 0.5 ? mirrored(object) : object };
  });
}

/** Objects on a random square of a random ground: RGB bytes `[size, size, 3]`. */
export async function drawImage(
  standing: readonly Standing[],
  { grounds }: Stamps,
  size: number,
  random: Random,
): Promise<Uint8Array> {
  const image = await groundSquare(choose(grounds, random), size, random);
  for (const { box, object } of standing) stamp(image, size, object, placeOf(box, size));
  return image;
}

/** Class numbers `[size, size]`: 0 is ground, and an object covers what it makes at least half opaque. */
export function drawMap(standing: readonly Standing[], size: number): Uint8Array {
  const map = new Uint8Array(size * size);
  for (const { box, object } of standing) {
    const white = object.pixels.map((level, i) => (i % 4 === 3 ? level : 255));
    const covered = new Uint8Array(size * size * 3);
    stamp(covered, size, { ...object, pixels: white }, placeOf(box, size));
    map.forEach((_, at) => {
      if (covered[3 * at]! >= 128) map[at] = 1 + box.label;
    });
  }
  return map;
}

function placeOf({ left, top, width, height }: SceneBox, size: number) {
  const scale = size / 255;
  return { left: left * scale, top: top * scale, width: width * scale, height: height * scale };
}
