import { createHash } from "node:crypto";
import { type ConditionSpec, type LayoutSpec, layoutBytes, textBytes } from "../../../conditions/index.ts";
import type { TextSpec } from "../../../conditions/spec.ts";
import { type Random, seededRandom } from "../../../support/random.ts";
import type { ImageSize } from "../../dataset.ts";
import { installedVersion } from "../../licenses.ts";
import { once } from "../../once.ts";
import { editionsOf, type PackageSource, packageLicense } from "../../packages.ts";
import type { Recipe } from "../../recipe.ts";
import { isLayoutHeldOut, type SceneBox } from "../scenes/boxes.ts";
import { cutOuts, grounds, STAMP_CLASSES } from "./cut-outs.ts";
import { STAMP_PACKAGES } from "./packages.ts";
import { drawBoxes, drawClasses, drawImage, drawMap, drawObjects, MOST_STAMPS, type Stamps } from "./scene.ts";

/** Raise it whenever the pixels, the conditions or the split change. */
const VERSION = 1;

export const STAMP_SIZES = [32, 64, 128] as const satisfies readonly ImageSize[];

export type StampCondition = "layout" | "semantic" | "text";

/** What stamps are conditioned on where it is boxes. */
export const STAMP_LAYOUT: LayoutSpec = { kind: "layout", classes: STAMP_CLASSES, boxes: MOST_STAMPS };
/** And where it is words: `bird, flower, flower`. */
const CAPTION: TextSpec = { kind: "text", length: 40, lowercase: true };

export function stampSpec(condition: StampCondition): ConditionSpec {
  switch (condition) {
    case "layout":
      return STAMP_LAYOUT;
    case "semantic":
      return { kind: condition, classes: [{ name: "ground", color: [235, 235, 235] }, ...STAMP_CLASSES] };
    case "text":
      return CAPTION;
  }
}

export interface StampsRequest {
  readonly condition: StampCondition;
  readonly size: ImageSize;
  readonly count: number;
  readonly seed: number;
}

/** How the `stamps` pairs are drawn. Scene number `i` depends on the seed and on `i` alone. */
export function stampsRecipe({ condition, size, count, seed }: StampsRequest, source: PackageSource): Recipe {
  const stamps = once(
    async (): Promise<Stamps> => ({ objects: await cutOuts(source), grounds: await grounds(source) }),
  );
  const sceneOf = (all: Stamps, number: number, from: number) => {
    const random = sceneRandom(from, number);
    const classes = drawClasses(random);
    const boxes = drawBoxes(classes, all, random);
    return { classes, boxes, standing: drawObjects(boxes, all, random) };
  };
  /** An image of the same condition, in which all is drawn anew that the condition leaves open. */
  const another = (
    all: Stamps,
    { classes, boxes, standing }: ReturnType<typeof sceneOf>,
    side: number,
    random: Random,
  ) => {
    switch (condition) {
      case "semantic":
        return drawImage(standing, all, side, random);
      case "layout":
        return drawImage(drawObjects(boxes, all, random), all, side, random);
      case "text":
        return drawImage(drawObjects(drawBoxes(classes, all, random), all, random), all, side, random);
    }
  };
  return {
    name: "stamps",
    condition: stampSpec(condition),
    facts: {
      ...(condition === "text" ? { group: captionOfPair } : {}),
      async trueImages(id, many, side, random) {
        const [from, number] = numbersOf(id);
        const all = await stamps();
        const scene = sceneOf(all, number, from);
        const images = Array.from({ length: many }, () => another(all, scene, side, random));
        return new Uint8Array(Buffer.concat(await Promise.all(images)));
      },
    },
    parts: {
      version: VERSION,
      ...editionsOf(STAMP_PACKAGES),
      sharp: installedVersion("sharp"),
      condition,
      size,
      count,
      seed,
    },
    licenses: STAMP_PACKAGES.map(packageLicense),
    async prepare() {
      const all = await stamps();
      const scenes = Array.from({ length: count }, (_, i) => sceneOf(all, i, seed));
      const entries = scenes.map(({ classes, boxes }, i) => ({
        id: `stamps-${seed}-${i}`,
        validation: condition === "text" ? isCaptionHeldOut(classes) : isHeldOut(boxes),
      }));
      const draw = async (index: number) => {
        const { classes, boxes, standing } = scenes[index]!;
        const image = await drawImage(standing, all, size, seededRandom("stamp ground", seed, index));
        switch (condition) {
          case "layout":
            return { image, condition: layoutBytes(boxes, STAMP_LAYOUT) };
          case "semantic":
            return { image, condition: drawMap(standing, size) };
          case "text":
            return { image, condition: textBytes(captionOf(classes), CAPTION) };
        }
      };
      return { entries, draw };
    },
  };
}

/** Names in the order of the alphabet, so that a caption says what there is, not where. */
function captionOf(classes: readonly number[]): string {
  return classes
    .map((label) => STAMP_CLASSES[label]!.name)
    .sort()
    .join(", ");
}

/** The classes are the first that is drawn of a scene. */
function captionOfPair(id: string): string {
  return captionOf(drawClasses(sceneRandom(...numbersOf(id))));
}

function sceneRandom(seed: number, number: number): Random {
  return seededRandom("stamp scene", seed, number);
}

function isHeldOut(boxes: readonly SceneBox[]): boolean {
  return isLayoutHeldOut(layoutBytes(boxes, STAMP_LAYOUT));
}

/** One caption in ten of those that name several things, with all of its scenes: the things are known, their company is not. */
function isCaptionHeldOut(classes: readonly number[]): boolean {
  if (classes.length === 1) return false;
  return createHash("sha256").update(captionOf(classes)).digest().readUInt32LE(0) % 10 === 0;
}

function numbersOf(id: string): [seed: number, index: number] {
  const [, seed, index] = /^stamps-(-?\d+)-(\d+)$/.exec(id) ?? [];
  if (seed !== undefined && index !== undefined) return [Number(seed), Number(index)];
  throw new RangeError(`expected an id of a scene of stamps, such as "stamps-0-17", got ${JSON.stringify(id)}.`);
}
