import { type Point, pointBytes } from "@iqvae/runtime";
import { openPicture, squareImage } from "../../../media/picture.ts";
import { readText } from "../../../media/read-file.ts";
import type { PairEntry } from "../../cache.ts";
import { PairProblem, type Problems } from "../problems.ts";
import { ending, type FileTree, PICTURES } from "../readers/file-tree.ts";
import type { ImportOf } from "../requests.ts";
import type { Source } from "../source.ts";
import { BODY } from "../specs.ts";

const HEADER = "name:keypoints_y:keypoints_x";
/** The in-shop benchmark's own partition. */
const PARTITION = "list_eval_partition.txt";
/** Of the pose transfer literature: one name a line. */
const LISTS = { "train.lst": false, "test.lst": true } as const;

/**
 * DeepFashion in-shop with the key points of the pose transfer literature: `*annotation*.csv` of lines
 * `name:[y, …]:[x, …]`, in pixels, −1 where a point is hidden. Names are those of the in-shop folders, or flattened as in
 * `fashionWOMENDressesid0000000202_1front.jpg`.
 *
 * Held out is, by the first of these that is there: what `list_eval_partition.txt` calls query or gallery; what `test.lst`
 * names; what stands in a CSV file with `test` in its name.
 */
export function deepfashionSource({ size }: ImportOf<"deepfashion">, tree: FileTree): Source {
  const all = tree.list(".").map((file) => file.slice(2));
  const images = all.filter((file) => (PICTURES as readonly string[]).includes(ending(file)));
  const tables = all.filter((file) => /annotation[^/]*\.csv$/i.test(file));
  const lists = all.filter((file) => nameOf(file) === PARTITION || nameOf(file) in LISTS);
  if (tables.length === 0) {
    throw new Error(
      `${tree.root} holds no file of key points. Put fasion-resize-annotation-train.csv and -test.csv there, with the header ${HEADER}.`,
    );
  }
  return {
    condition: BODY,
    // The pictures of one garment, whose number has eight digits.
    facts: { group: (id) => /^.*?id_?\d{8}/.exec(id)?.[0] ?? id },
    files: [...images, ...tables, ...lists],
    async match(problems) {
      const byKey = imagesByKey(images, problems);
      const heldOut = await splitOf(tree, lists);
      const people: { entry: PairEntry; image: string; line: string }[] = [];
      const named = new Set<string>();
      for (const table of tables) {
        for (const line of await linesOf(tree, table)) {
          if (line === HEADER) continue;
          const name = line.slice(0, Math.max(0, line.indexOf(":")));
          const image = byKey.get(keyOf(name));
          // Named as ambiguous before.
          if (image === SEVERAL) continue;
          if (image === undefined) {
            problems.add("missing partner", name || line.slice(0, 80), `${table} names it, but there is no such image`);
            continue;
          }
          if (named.has(image)) {
            problems.add("ambiguous partner", image, `${table} gives it key points again`);
            continue;
          }
          named.add(image);
          const validation = heldOut === undefined ? /test/i.test(nameOf(table)) : heldOut.get(keyOf(image));
          if (validation === undefined) problems.add("missing partner", image, "no list says which part it belongs to");
          else if (validation === SEVERAL) problems.add("ambiguous partner", image, "lists put it into both parts");
          else people.push({ entry: { id: image, validation }, image, line });
        }
      }
      nameImagesWithout([...byKey.values()], named, problems);
      return {
        entries: people.map(({ entry }) => entry),
        async read(index) {
          const { image, line } = people[index]!;
          const points = parsePoints(line);
          const picture = await openPicture(tree.at(image));
          const condition = pointBytes(points, BODY, picture);
          return { image: await squareImage(picture, size), condition };
        },
      };
    },
  };
}

/** What stands for a name that several things have. */
const SEVERAL = Symbol("several");
type Several = typeof SEVERAL;

/** Images by the key of their name; those of one key are ambiguous. */
function imagesByKey(images: readonly string[], problems: Problems): Map<string, string | Several> {
  const groups = new Map<string, string[]>();
  for (const image of images) {
    const key = keyOf(image);
    groups.set(key, [...(groups.get(key) ?? []), image]);
  }
  return new Map(
    [...groups].map(([key, same]): [string, string | Several] => {
      if (same.length === 1) return [key, same[0]!];
      for (const image of same)
        problems.add("ambiguous partner", image, `${same.join(" and ")} have one name; keep one of them`);
      return [key, SEVERAL];
    }),
  );
}

function nameImagesWithout(
  images: readonly (string | Several)[],
  named: ReadonlySet<string>,
  problems: Problems,
): void {
  for (const image of images) {
    if (image !== SEVERAL && !named.has(image))
      problems.add("missing partner", image, "no key points are given for it");
  }
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

async function linesOf(tree: FileTree, file: string): Promise<string[]> {
  return (await readText(tree.at(file)))
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/**
 * What names of one image have in common: the pose transfer literature leaves out `/` and most `_`, and puts `fashion` before.
 * Folders above the first that is named `MEN` or `WOMEN` are left out.
 */
function keyOf(path: string): string {
  const inShop = /(?:^|\/)((?:WO)?MEN\/.*)$/.exec(path)?.[1];
  return (inShop === undefined ? nameOf(path) : `fashion${inShop}`).normalize("NFC").replace(/[/_]/g, "").toLowerCase();
}

/** By key, whether an image is held out; `undefined` when there is no list. */
async function splitOf(tree: FileTree, lists: readonly string[]): Promise<Map<string, boolean | Several> | undefined> {
  if (lists.length === 0) return undefined;
  const parts = new Map<string, boolean | Several>();
  const put = (name: string, heldOut: boolean) => {
    const key = keyOf(name);
    parts.set(key, (parts.get(key) ?? heldOut) === heldOut ? heldOut : SEVERAL);
  };
  const partition = lists.find((file) => nameOf(file) === PARTITION);
  if (partition !== undefined) {
    // The number of images, the names of the columns, then a line an image.
    for (const row of (await linesOf(tree, partition)).slice(2)) {
      const [image, , status] = row.split(/\s+/);
      if (image !== undefined && status !== undefined) put(image, status !== "train");
    }
    return parts;
  }
  for (const file of lists) {
    for (const name of await linesOf(tree, file)) put(name, LISTS[nameOf(file) as keyof typeof LISTS]);
  }
  return parts;
}

/** @throws PairProblem for a line that is not `name:[y, …]:[x, …]` of as many points as a body has */
function parsePoints(line: string): Point[] {
  const [, rows, columns] = line.split(":");
  const [y, x] = [rows, columns].map((text) => numbers(text));
  const count = BODY.points.length;
  if (y?.length !== count || x?.length !== count) {
    throw new PairProblem(
      "bad annotation",
      `expected ${HEADER} with two lists of ${count} whole numbers, got ${JSON.stringify(line.slice(0, 120))}`,
    );
  }
  return x.map((column, k) => (column === -1 || y[k] === -1 ? undefined : [column, y[k]!]));
}

function numbers(text: string | undefined): number[] | undefined {
  if (text === undefined || !/^\s*\[[-\d,\s.]*\]\s*$/.test(text)) return undefined;
  const parts = text.trim().slice(1, -1).split(",").map(Number);
  return parts.every(Number.isFinite) ? parts : undefined;
}
