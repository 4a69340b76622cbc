import { pointBytes } from "@iqvae/runtime";
import { expectNotTurned, openPicture, squareImage } from "../../../media/picture.ts";
import { readText } from "../../../media/read-file.ts";
import type { PairEntry } from "../../cache.ts";
import type { Problems } from "../problems.ts";
import { ending, type FileTree, PICTURES } from "../readers/file-tree.ts";
import type { ImportOf } from "../requests.ts";
import type { Source } from "../source.ts";
import { BODY } from "../specs.ts";
import { HEADER, isResized, parsePoints, placePoints } from "./deepfashion-points.ts";

/** The in-shop benchmark's own partition. */
const PARTITION = "list_eval_partition.txt";
/** Of the pose transfer literature: one name a line. */
const LISTS = { "train.lst": false, "test.lst": true } as const;

/**
 * DeepFashion in-shop with the key points of the pose transfer literature: `*annotation*.csv` of lines
 * `name:[y, …]:[x, …]`, −1 where a point is hidden, in pixels ({@link placePoints} says of which pictures). Names are those of the
 * in-shop folders, or flattened as in `fashionWOMENDressesid0000000202_1front.jpg`.
 *
 * Held out is, by the first of these that is there: what `list_eval_partition.txt` calls query or gallery; what `test.lst`
 * names; what stands in a CSV file with `test` in its name.
 */
export function deepfashionSource({ size }: ImportOf<"deepfashion">, tree: FileTree): Source {
  const all = tree.list(".", undefined, { once: true }).map((file) => file.slice(2));
  const images = all.filter((file) => PICTURES.includes(ending(file)));
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
      const rows = await rowsOf(tree, tables, byKey, problems);
      nameImagesWithout([...byKey.values()], rows, problems);
      const people: { entry: PairEntry; image: string; row: Row }[] = [];
      for (const [image, row] of rows) {
        if (row === SEVERAL) continue;
        const validation = heldOut === undefined ? /test/i.test(nameOf(row.table)) : heldOut.get(keyOf(image));
        if (validation === undefined) problems.add("missing partner", image, "no list says which part it belongs to");
        else if (validation === SEVERAL) problems.add("ambiguous partner", image, "lists put it into both parts");
        else people.push({ entry: { id: image, validation }, image, row });
      }
      return {
        entries: people.map(({ entry }) => entry),
        async read(index) {
          const { image, row } = people[index]!;
          const points = parsePoints(row.line);
          const picture = await openPicture(tree.at(image));
          expectNotTurned(picture, "its line of key points");
          const condition = pointBytes(placePoints(points, row.table, picture), BODY, picture);
          return { image: await squareImage(picture, size), condition };
        },
      };
    },
  };
}

/** What stands for a name that several things have. */
const SEVERAL = Symbol("several");
type Several = typeof SEVERAL;

/** What gives an image its key points. */
interface Row {
  readonly table: string;
  readonly line: string;
}

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

/** Rows by their image; those of one image that differ are ambiguous. */
async function rowsOf(
  tree: FileTree,
  tables: readonly string[],
  byKey: ReadonlyMap<string, string | Several>,
  problems: Problems,
): Promise<Map<string, Row | Several>> {
  const rows = new Map<string, Row | Several>();
  const put = (image: string, row: Row) => {
    const known = rows.get(image);
    if (known === undefined) {
      rows.set(image, row);
      return;
    }
    // Whoever crops the benchmark's pictures has its own CSV file, too. Points of crops find their place in both.
    if (known === SEVERAL || (isResized(known.table) && !isResized(row.table))) return;
    const differs = pointsOf(known) !== pointsOf(row);
    if (differs) rows.set(image, SEVERAL);
    problems.add(
      "ambiguous partner",
      image,
      `${row.table} gives it ${differs ? "other key points" : "key points again"}`,
    );
  };
  for (const table of tables.toSorted((a, b) => Number(isResized(b)) - Number(isResized(a)))) {
    for (const line of await linesOf(tree, table)) {
      if (line === HEADER) continue;
      const name = line.slice(0, Math.max(0, line.indexOf(":")));
      const image = byKey.get(keyOf(name));
      if (image === undefined)
        problems.add("missing partner", name || line.slice(0, 80), `${table} names it, but there is no such image`);
      // Others are named as ambiguous before.
      else if (image !== SEVERAL) put(image, { table, line });
    }
  }
  return rows;
}

function pointsOf({ line }: Row): string {
  return line.slice(line.indexOf(":")).replace(/\s/g, "");
}

function nameImagesWithout(
  images: readonly (string | Several)[],
  named: ReadonlyMap<string, unknown>,
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
