import { dirname } from "node:path/posix";
import { openPicture, squareImage } from "../../../media/picture.ts";
import { readText } from "../../../media/read-file.ts";
import type { PairEntry } from "../../cache.ts";
import { PairProblem, type Problems } from "../problems.ts";
import { ending, type FileTree } from "../readers/file-tree.ts";
import type { ImportOf } from "../requests.ts";
import type { Source } from "../source.ts";
import { boundedText } from "./folder.ts";

const CAPTIONS = 10;
/** Images that are kept while their captions are read, each with a pair of its own. */
const KEPT = 32;

interface Bird {
  readonly image: string;
  readonly captions: string;
  readonly validation: boolean;
}

/** The image of a pair, which its other captions share. */
const imageOf = (id: string) => id.split("#", 1)[0]!;

/**
 * CUB-200-2011 with the ten captions an image of Reed et al. (CVPR 2016), in `text/` or `text_c10/` beside `images/`: a pair
 * for each caption. The split is that of `train_test_split.txt`.
 */
export function cubSource({ size, length }: ImportOf<"cub-200-2011">, tree: FileTree): Source {
  const folder = tree.has("text_c10") ? "text_c10" : "text";
  const images = tree.list("images", [".jpg"]);
  const texts = tree.list(folder, [".txt"]);
  const spec = { kind: "text", length } as const;
  return {
    condition: spec,
    // Ten captions say what one image shows; the folder is the species.
    facts: { group: imageOf, picture: imageOf, concept: dirname },
    files: ["images.txt", "train_test_split.txt", ...images, ...texts],
    async match(problems) {
      const birds = await birdsOf(tree, folder, [...images, ...texts], problems);
      const entries = birds.flatMap(({ image, validation }) =>
        Array.from({ length: CAPTIONS }, (_, n): PairEntry => ({ id: `${image}#${n}`, validation })),
      );
      const image = kept((file) => openPicture(tree.at(file)).then((picture) => squareImage(picture, size)));
      const captions = kept(async (file) => (await readText(tree.at(file))).split(/\r?\n/).map((line) => line.trim()));
      return {
        entries,
        async read(index) {
          const bird = birds[Math.floor(index / CAPTIONS)]!;
          const n = index % CAPTIONS;
          const caption = (await captions(bird.captions))[n];
          if (caption === undefined || caption === "") {
            throw new PairProblem("bad annotation", `${bird.captions} has no caption in line ${n + 1}`);
          }
          const condition = boundedText(caption, spec, `${bird.captions}, line ${n + 1},`);
          return { image: await image(bird.image), condition };
        },
      };
    },
  };
}

async function birdsOf(tree: FileTree, folder: string, files: readonly string[], problems: Problems): Promise<Bird[]> {
  // Names are compared as they are composed: see stem().
  const present = new Map(files.map((file) => [file.normalize("NFC"), file]));
  const names = await table(tree, "images.txt");
  const flags = await table(tree, "train_test_split.txt");
  const listed = new Map<string, number>();
  for (const name of [...names.values()].flat()) listed.set(name, (listed.get(name) ?? 0) + 1);
  const birds = [...names].flatMap(([id, [name, ...others]]): Bird[] => {
    if (others.length > 0 || listed.get(name)! > 1) {
      problems.add(
        "ambiguous partner",
        name,
        `images.txt gives ${others.length > 0 ? `image ${id}` : "it"} several times`,
      );
      return [];
    }
    const paths = [`images/${name}`, `${folder}/${name.slice(0, name.length - ending(name).length)}.txt`];
    const [image, captions] = paths.map((path) => present.get(path));
    if (image === undefined || captions === undefined) {
      problems.add("missing partner", name, `there is no ${image === undefined ? paths[0] : paths[1]}`);
      return [];
    }
    const [flag, ...more] = flags.get(id) ?? [];
    if (more.length === 0 && (flag === "1" || flag === "0")) return [{ image, captions, validation: flag === "0" }];
    const said = [flag, ...more].join(" and ") || "nothing";
    problems.add("bad annotation", name, `train_test_split.txt says ${said} of image ${id}, not 1 or 0`);
    return [];
  });
  for (const [name, file] of present) {
    if (name.startsWith("images/") && !listed.has(name.slice("images/".length)))
      problems.add("missing partner", file, "images.txt does not name it");
  }
  return birds;
}

/** A file of lines `id value`: the values of each id, which should be one. @throws Error when it cannot be read */
async function table(tree: FileTree, name: string): Promise<Map<string, [string, ...string[]]>> {
  const text = await readText(tree.at(name)).catch((error: Error) => {
    throw new Error(`${error.message} It belongs to CUB_200_2011.`, { cause: error });
  });
  const rows = new Map<string, [string, ...string[]]>();
  for (const line of text.split(/\r?\n/)) {
    const [, id, value] = /^\s*(\d+)\s+(\S+)\s*$/.exec(line.normalize("NFC")) ?? [];
    if (id === undefined || value === undefined) continue;
    const known = rows.get(id);
    if (known === undefined) rows.set(id, [value]);
    else known.push(value);
  }
  return rows;
}

/** A task whose newest results are kept, since neighboring pairs share their image. */
function kept<T>(task: (file: string) => Promise<T>): (file: string) => Promise<T> {
  const results = new Map<string, Promise<T>>();
  return (file) => {
    const known = results.get(file) ?? task(file);
    // Whoever asks hears of a failure; the kept promise must not count as unhandled.
    known.catch(() => {});
    results.set(file, known);
    if (results.size > KEPT) results.delete(results.keys().next().value!);
    return known;
  };
}
