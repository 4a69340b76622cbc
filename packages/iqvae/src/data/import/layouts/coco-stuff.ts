import { join } from "node:path";
import type { LayoutSpec } from "../../../conditions/index.ts";
import type { PairEntry } from "../../cache.ts";
import { PairProblem, type Problems } from "../problems.ts";
import { boxBytes, cutBoxes, isNumber, type PixelBox } from "../readers/annotations.ts";
import { hasFolder, listFiles } from "../readers/files.ts";
import { listElements } from "../readers/json-stream.ts";
import { openPicture, squareImage } from "../readers/pictures.ts";
import type { ImportOf } from "../requests.ts";
import type { Source } from "../source.ts";
import { COCO_LAYOUT } from "../specs.ts";

/** As usual in layout-to-image (Johnson et al., CVPR 2018): 3 to 8 objects, each at least 2 % of the image. */
const [FEWEST, MOST, LEAST_SHARE] = [3, COCO_LAYOUT.boxes, 0.02];

interface Scene {
  readonly entry: PairEntry;
  readonly image: string;
  /** As the annotations say, to be compared with the picture's. */
  readonly width: number;
  readonly height: number;
  /** For each object five numbers: the category's id, then left, top, width and height in pixels. */
  readonly objects: number[];
}

/**
 * COCO-Stuff: boxes of things from `annotations/instances_{train,val}2017.json`, and of stuff from `stuff_*.json` where they
 * lie there too. Images are in `{train,val}2017/`, or `images/{train,val}2017/`. Crowds are left out.
 */
export function cocoStuffSource({ path: root, size }: ImportOf<"coco-stuff">): Source {
  const tables = listFiles(root, "annotations").filter((file) => /\/(instances|stuff)_\w+\.json$/.test(file));
  if (!tables.some((file) => file.includes("/instances_"))) {
    throw new Error(`${join(root, "annotations")} holds no instances_train2017.json or instances_val2017.json.`);
  }
  const folders = new Map(splitsOf(tables).map((split) => [split, imagesOf(root, split)]));
  const images = [...folders.values()].flatMap((folder) => listFiles(root, folder));
  return {
    condition: COCO_LAYOUT,
    files: [...tables, ...images],
    match(problems) {
      const present = new Set(images);
      const categories = new Map<number, string>();
      const scenes = [...folders].flatMap(([split, folder]) => {
        const own = tables.filter((file) => splitOf(file) === split);
        return readScenes(root, own, folder, split.startsWith("val"), present, categories, problems);
      });
      const labels = labelsOf(categories);
      return {
        entries: scenes.map(({ entry }) => entry),
        read: (index) => readScene(root, scenes[index]!, labels, size),
      };
    },
  };
}

const splitOf = (file: string) => /_(\w+)\.json$/.exec(file)![1]!;
const splitsOf = (files: readonly string[]) => [...new Set(files.map(splitOf))];
const imagesOf = (root: string, split: string) => (hasFolder(root, split) ? split : `images/${split}`);

/** Reads the annotations of one part, an element at a time; of each object five numbers are kept. */
function readScenes(
  root: string,
  tables: readonly string[],
  folder: string,
  validation: boolean,
  present: ReadonlySet<string>,
  categories: Map<number, string>,
  problems: Problems,
): Scene[] {
  const scenes = new Map<number, Scene>();
  const objects = new Map<number, number[]>();
  for (const table of tables) {
    for (const { list, value } of listElements(join(root, table))) {
      const fields = (typeof value === "object" && value !== null ? value : {}) as Record<string, unknown>;
      const { id } = fields;
      if (list === "categories" && isNumber(id)) categories.set(id, String(fields.name));
      if (list === "images") {
        const scene = sceneOf(fields, folder, validation);
        if (scene === undefined)
          problems.add(
            "bad annotation",
            `${table} ${JSON.stringify(id)}`,
            "an image needs id, file_name, width and height",
          );
        else if (!present.has(scene.image))
          problems.add("missing partner", scene.entry.id, `there is no ${scene.image}`);
        else if (isNumber(id)) scenes.set(id, scene);
      }
      if (list === "annotations" && fields.iscrowd !== 1) {
        const { image_id: image, category_id: category, bbox } = fields;
        if (isNumber(image) && isNumber(category) && Array.isArray(bbox) && bbox.length === 4 && bbox.every(isNumber)) {
          const known = objects.get(image) ?? [];
          known.push(category, ...bbox);
          objects.set(image, known);
        } else {
          problems.add(
            "bad annotation",
            `${table} ${JSON.stringify(id)}`,
            "an object needs image_id, category_id and bbox",
          );
        }
      }
    }
  }
  const known = new Set([...scenes.values()].map(({ image }) => image));
  for (const file of present) {
    if (file.startsWith(`${folder}/`) && !known.has(file))
      problems.add("missing partner", file, "no annotation names it");
  }
  return [...scenes].map(([id, scene]) => ({ ...scene, objects: objects.get(id) ?? [] }));
}

function sceneOf(fields: Record<string, unknown>, folder: string, validation: boolean): Scene | undefined {
  const { id, file_name: name, width, height } = fields;
  if (!isNumber(id) || typeof name !== "string" || !isNumber(width) || !isNumber(height)) return undefined;
  const image = `${folder}/${name}`;
  return { entry: { id: image, validation }, image, width, height, objects: [] };
}

/** The number of each category's class; names, since the two files number on. */
function labelsOf(categories: ReadonlyMap<number, string>): Map<number, number> {
  const names = new Map(COCO_LAYOUT.classes.map(({ name }, label) => [name, label]));
  return new Map([...categories].flatMap(([id, name]) => (names.has(name) ? [[id, names.get(name)!] as const] : [])));
}

/** Stuff that is none of the classes: the pixels of things. */
const OTHER = 183;

async function readScene(root: string, scene: Scene, labels: ReadonlyMap<number, number>, size: number) {
  const picture = await openPicture(join(root, scene.image));
  if (picture.width !== scene.width || picture.height !== scene.height) {
    throw new PairProblem(
      "size mismatch",
      `it has ${picture.width} × ${picture.height} pixels, but its annotation says ${scene.width} × ${scene.height}`,
    );
  }
  const boxes = cutBoxes(pixelBoxes(scene, labels), picture).filter(
    ({ width, height }) => width * height >= LEAST_SHARE,
  );
  if (boxes.length < FEWEST || boxes.length > MOST) {
    throw new PairProblem(
      "too few or too many objects",
      `${boxes.length} objects of at least ${100 * LEAST_SHARE} % of the middle square; ${FEWEST} to ${MOST} are used`,
    );
  }
  const spec: LayoutSpec = COCO_LAYOUT;
  return { image: await squareImage(picture, size), condition: boxBytes(boxes, spec) };
}

function pixelBoxes({ objects }: Scene, labels: ReadonlyMap<number, number>): PixelBox[] {
  return Array.from({ length: objects.length / 5 }, (_, n) => objects.slice(5 * n, 5 * n + 5)).flatMap((object) => {
    const [category, left, top, width, height] = object as [number, number, number, number, number];
    if (category === OTHER) return [];
    const label = labels.get(category);
    if (label === undefined) {
      throw new PairProblem(
        "unknown class or color",
        `an object has the category ${category}, which is no class of COCO-Stuff`,
      );
    }
    return [{ label, left, top, width, height }];
  });
}
