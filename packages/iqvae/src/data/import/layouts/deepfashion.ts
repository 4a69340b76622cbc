import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { PairEntry } from "../../cache.ts";
import { PairProblem, type Problems } from "../problems.ts";
import { type Point, pointBytes } from "../readers/annotations.ts";
import { ending, listFiles, PICTURES } from "../readers/files.ts";
import { openPicture, squareImage } from "../readers/pictures.ts";
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
export function deepfashionSource({ path: root, size }: ImportOf<"deepfashion">): Source {
  const all = listFiles(root, ".").map((file) => file.slice(2));
  const images = all.filter((file) => PICTURES.includes(ending(file) as ".png"));
  const tables = all.filter((file) => /annotation[^/]*\.csv$/i.test(file));
  const lists = all.filter((file) => nameOf(file) === PARTITION || nameOf(file) in LISTS);
  if (tables.length === 0) {
    throw new Error(
      `${root} holds no file of key points. Put fasion-resize-annotation-train.csv and -test.csv there, with the header ${HEADER}.`,
    );
  }
  return {
    condition: BODY,
    // The pictures of one garment, whose number has eight digits.
    facts: { group: (id) => /^.*?id_?\d{8}/.exec(id)?.[0] ?? id },
    files: [...images, ...tables, ...lists],
    match(problems) {
      const byKey = new Map(images.map((file) => [keyOf(file), file]));
      const heldOut = splitOf(root, lists);
      const people: { entry: PairEntry; image: string; line: string }[] = [];
      const named = new Set<string>();
      for (const table of tables) {
        for (const line of linesOf(join(root, table))) {
          if (line === HEADER) continue;
          const name = line.slice(0, Math.max(0, line.indexOf(":")));
          const image = byKey.get(keyOf(name));
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
          else people.push({ entry: { id: image, validation }, image, line });
        }
      }
      nameImagesWithout(images, named, problems);
      return {
        entries: people.map(({ entry }) => entry),
        async read(index) {
          const { image, line } = people[index]!;
          const points = parsePoints(line);
          const picture = await openPicture(join(root, image));
          const condition = pointBytes(points, BODY, picture);
          return { image: await squareImage(picture, size), condition };
        },
      };
    },
  };
}

function nameImagesWithout(images: readonly string[], named: ReadonlySet<string>, problems: Problems): void {
  for (const image of images) {
    if (!named.has(image)) problems.add("missing partner", image, "no key points are given for it");
  }
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function linesOf(path: string): string[] {
  return readFileSync(path, "utf8")
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
  return (inShop === undefined ? nameOf(path) : `fashion${inShop}`).replace(/[/_]/g, "").toLowerCase();
}

/** By key, whether an image is held out; `undefined` when there is no list. */
function splitOf(root: string, lists: readonly string[]): Map<string, boolean> | undefined {
  const partition = lists.find((file) => nameOf(file) === PARTITION);
  if (partition !== undefined) {
    // The number of images, the names of the columns, then a line an image.
    const rows = linesOf(join(root, partition)).slice(2);
    return new Map(
      rows.flatMap((row) => {
        const [image, , status] = row.split(/\s+/);
        return image === undefined || status === undefined ? [] : [[keyOf(image), status !== "train"] as const];
      }),
    );
  }
  if (lists.length === 0) return undefined;
  return new Map(
    lists.flatMap((file) =>
      linesOf(join(root, file)).map((name) => [keyOf(name), LISTS[nameOf(file) as keyof typeof LISTS]] as const),
    ),
  );
}

/** @throws PairProblem for a line that is no `name:[y, …]:[x, …]` of as many points as a body has */
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
