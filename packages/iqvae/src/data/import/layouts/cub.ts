import { readFileSync } from "node:fs";
import { join } from "node:path";
import { dirname } from "node:path/posix";
import type { PairEntry } from "../../cache.ts";
import { PairProblem, type Problems } from "../problems.ts";
import { ending, hasFolder, listFiles, readText } from "../readers/files.ts";
import { openPicture, squareImage } from "../readers/pictures.ts";
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

/**
 * CUB-200-2011 with the ten captions an image of Reed et al. (CVPR 2016), in `text/` or `text_c10/` beside `images/`: a pair
 * for each caption. The split is that of `train_test_split.txt`.
 */
export function cubSource({ path: root, size, length }: ImportOf<"cub-200-2011">): Source {
  const folder = hasFolder(root, "text_c10") ? "text_c10" : "text";
  const images = listFiles(root, "images").filter((file) => ending(file) === ".jpg");
  const texts = listFiles(root, folder).filter((file) => ending(file) === ".txt");
  return {
    condition: { kind: "text", length },
    // Ten captions say what one image shows; the folder is the species.
    facts: { group: (id) => id.split("#", 1)[0]!, concept: dirname },
    files: ["images.txt", "train_test_split.txt", ...images, ...texts],
    match(problems) {
      const birds = birdsOf(root, folder, new Set([...images, ...texts]), problems);
      const entries = birds.flatMap(({ image, validation }) =>
        Array.from({ length: CAPTIONS }, (_, n): PairEntry => ({ id: `${image}#${n}`, validation })),
      );
      const image = kept((file) => openPicture(join(root, file)).then((picture) => squareImage(picture, size)));
      const captions = kept(async (file) =>
        (await readText(join(root, file))).split(/\r?\n/).map((line) => line.trim()),
      );
      return {
        entries,
        async read(index) {
          const bird = birds[Math.floor(index / CAPTIONS)]!;
          const n = index % CAPTIONS;
          const caption = (await captions(bird.captions))[n];
          if (caption === undefined || caption === "") {
            throw new PairProblem("bad annotation", `${bird.captions} has no caption in line ${n + 1}`);
          }
          const condition = boundedText(caption, length, `${bird.captions}, line ${n + 1},`);
          return { image: await image(bird.image), condition };
        },
      };
    },
  };
}

function birdsOf(root: string, folder: string, present: ReadonlySet<string>, problems: Problems): Bird[] {
  const isTraining = table(root, "train_test_split.txt");
  const listed = new Set<string>();
  const birds = [...table(root, "images.txt")].flatMap(([id, name]): Bird[] => {
    const image = `images/${name}`;
    const captions = `${folder}/${name.slice(0, name.length - ending(name).length)}.txt`;
    listed.add(image);
    for (const file of [image, captions]) {
      if (present.has(file)) continue;
      problems.add("missing partner", name, `there is no ${file}`);
      return [];
    }
    const flag = isTraining.get(id);
    if (flag === "1" || flag === "0") return [{ image, captions, validation: flag === "0" }];
    problems.add("bad annotation", name, `train_test_split.txt says ${flag ?? "nothing"} of image ${id}, not 1 or 0`);
    return [];
  });
  for (const file of present) {
    if (file.startsWith("images/") && !listed.has(file))
      problems.add("missing partner", file, "images.txt does not name it");
  }
  return birds;
}

/** A file of lines `id value`. @throws Error when it cannot be read */
function table(root: string, name: string): Map<string, string> {
  let text: string;
  try {
    text = readFileSync(join(root, name), "utf8");
  } catch (error) {
    throw new Error(`${join(root, name)} cannot be read (${(error as Error).message}). It belongs to CUB_200_2011.`, {
      cause: error,
    });
  }
  const rows = text.split(/\r?\n/).flatMap((line) => {
    const [, id, value] = /^\s*(\d+)\s+(\S+)\s*$/.exec(line) ?? [];
    return id === undefined || value === undefined ? [] : [[id, value] as const];
  });
  return new Map(rows);
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
