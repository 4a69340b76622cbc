import { boxBytes, cutBoxes, type PixelBox } from "@iqvae/runtime";
import type { LayoutSpec } from "../../../conditions/index.ts";
import { expectNotTurned, openPicture, squareImage } from "../../../media/picture.ts";
import { PairProblem } from "../problems.ts";
import type { FileTree } from "../readers/file-tree.ts";
import type { ImportOf } from "../requests.ts";
import type { Source } from "../source.ts";
import { COCO_LAYOUT } from "../specs.ts";
import { Categories, type Scene, SceneReader } from "./coco-scenes.ts";

/** As usual in layout-to-image (Johnson et al., CVPR 2018): 3 to 8 objects, each at least 2 % of the image. */
const [FEWEST, MOST, LEAST_SHARE] = [3, COCO_LAYOUT.boxes, 0.02];

/** Other years hold the same photographs, on the other side of the split. */
const TABLE = /^annotations\/(?:instances|stuff)_((?:train|val)2017)\.json$/;

/**
 * COCO-Stuff: boxes of things from `annotations/instances_{train,val}2017.json`, and of stuff from `stuff_*.json` where they
 * lie there too. Images are in `{train,val}2017/`, or `images/{train,val}2017/`. Crowds are left out.
 */
export function cocoStuffSource({ size }: ImportOf<"coco-stuff">, tree: FileTree): Source {
  const annotations = tree.list("annotations", [".json"]);
  const tables = annotations.filter((file) => TABLE.test(file));
  if (!tables.some((file) => file.includes("/instances_"))) throw withoutThings(tree, annotations);
  const folders = new Map(splitsOf(tables).map((split) => [split, tree.has(split) ? split : `images/${split}`]));
  const images = [...folders.values()].flatMap((folder) => tree.list(folder));
  return {
    condition: COCO_LAYOUT,
    files: [...tables, ...images],
    async match(problems, onProgress) {
      const present = new Map(images.map((file) => [file.normalize("NFC"), file]));
      const categories = new Categories();
      const scenes: Scene[] = [];
      for (const [split, folder] of folders) {
        const reader = new SceneReader(folder, split.startsWith("val"), present, categories, problems);
        for (const table of tables.filter((file) => splitOf(file) === split))
          await reader.read(tree, table, onProgress);
        scenes.push(...reader.scenes());
      }
      return {
        entries: scenes.map(({ entry }) => entry),
        read: (index) => readScene(tree, scenes[index]!, categories, size),
      };
    },
  };
}

/** Files that a message names. */
const MOST_SHOWN = 8;

function withoutThings(tree: FileTree, found: readonly string[]): Error {
  const names = found.slice(0, MOST_SHOWN).join(", ");
  const instead = found.length === 0 ? "" : ` Found instead: ${names}${found.length > MOST_SHOWN ? ", …" : ""}.`;
  return new Error(
    `${tree.at("annotations")} holds no instances_train2017.json or instances_val2017.json. Put them there.${instead}`,
  );
}

const splitOf = (file: string) => TABLE.exec(file)![1]!;
const splitsOf = (files: readonly string[]) => [...new Set(files.map(splitOf))];

async function readScene(tree: FileTree, scene: Scene, categories: Categories, size: number) {
  const picture = await openPicture(tree.at(scene.image));
  expectNotTurned(picture, "its annotation", scene);
  if (picture.width !== scene.width || picture.height !== scene.height) {
    throw new PairProblem(
      "size mismatch",
      `it has ${picture.width} × ${picture.height} pixels, but its annotation says ${scene.width} × ${scene.height}`,
    );
  }
  const boxes = cutBoxes(pixelBoxes(scene, categories), picture).filter(
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

const LABELS: ReadonlyMap<string, number> = new Map(COCO_LAYOUT.classes.map(({ name }, label) => [name, label]));
/** Stuff that belongs to no class: the pixels of things. */
const OTHER = "183";

/** Names count, not ids, since the files of things and stuff number on. */
function pixelBoxes({ objects }: Scene, categories: Categories): PixelBox[] {
  return Array.from({ length: objects.length / 5 }, (_, n) => objects.slice(5 * n, 5 * n + 5)).flatMap((object) => {
    const [category, left, top, width, height] = object as [number, number, number, number, number];
    const { id, names } = categories.get(category);
    if (id === OTHER) return [];
    const label = names.length === 1 ? LABELS.get(names[0]!) : undefined;
    if (label === undefined) {
      const called = names.length === 0 ? "" : `, called ${names.map((name) => JSON.stringify(name)).join(" and ")}`;
      throw new PairProblem(
        "unknown class or color",
        `an object has the category ${id}${called}, which is not one class of COCO-Stuff`,
      );
    }
    return [{ label, left, top, width, height }];
  });
}
