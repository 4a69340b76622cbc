import { boxBytes, cutBoxes, keepNearest, logMel, parseBoxes, parsePoints, pointBytes, readWav } from "@iqvae/runtime";
import { type ConditionSpec, plainText, type TextSpec, textBytes } from "../../../conditions/index.ts";
import { readLabels } from "../../../media/label-map.ts";
import { expectSameShape, openPicture, type Picture, squareImage, squareLines } from "../../../media/picture.ts";
import { readJson, readText, readWhole } from "../../../media/read-file.ts";
import { PairProblem, type Problems } from "../problems.ts";
import { type FileTree, PICTURES, SOUNDS, stem } from "../readers/file-tree.ts";
import type { FolderRequest } from "../requests.ts";
import { type Source, splitByHash } from "../source.ts";
import { importedCondition } from "../specs.ts";

const ENDINGS: { readonly [kind in FolderRequest["condition"]]: readonly string[] } = {
  semantic: PICTURES,
  lines: PICTURES,
  edges: PICTURES,
  keypoints: [".json"],
  layout: [".json"],
  text: [".txt"],
  audio: SOUNDS,
};

/** A folder of pairs: `condition/` and `image/`, files of one pair with the same name before the ending. */
export function folderSource(request: FolderRequest, tree: FileTree): Source {
  const { size } = request;
  const spec = importedCondition(request);
  const images = tree.list("image", PICTURES);
  const conditions = tree.list("condition", ENDINGS[request.condition]);
  return {
    condition: spec,
    files: [...images, ...conditions],
    match(problems) {
      const pairs = partners({ folder: "image", files: images }, { folder: "condition", files: conditions }, problems);
      return {
        entries: splitByHash(pairs.map(({ id }) => id)),
        async read(index) {
          const { image, condition } = pairs[index]!;
          const picture = await openPicture(tree.at(image));
          const bytes = await readFolderCondition(tree.at(condition), picture, spec, size);
          return { image: await squareImage(picture, size), condition: bytes };
        },
      };
    },
  };
}

interface Side {
  readonly folder: string;
  readonly files: readonly string[];
}

interface Partners {
  readonly id: string;
  readonly image: string;
  readonly condition: string;
}

/** Files of two folders with the same name before the ending. What has no partner, or several, is a problem. */
export function partners(images: Side, conditions: Side, problems: Problems): Partners[] {
  const [image, condition] = [images, conditions].map((side) => byStem(side, problems)) as [Stems, Stems];
  for (const [side, own, other] of [
    [conditions, image, condition],
    [images, condition, image],
  ] as const) {
    for (const [id, [file, ...more]] of own) {
      if (more.length === 0 && !other.has(id)) {
        problems.add("missing partner", id, `${file} has no partner in ${side.folder}/`);
      }
    }
  }
  return [...image].flatMap(([id, [file, ...more]]) => {
    const [partner, ...others] = condition.get(id) ?? [];
    return partner === undefined || more.length + others.length > 0 ? [] : [{ id, image: file, condition: partner }];
  });
}

/** The files of each name, of which a pair has one. */
type Stems = ReadonlyMap<string, readonly [string, ...string[]]>;

function byStem({ folder, files }: Side, problems: Problems): Stems {
  const stems = new Map<string, [string, ...string[]]>();
  for (const file of files) {
    const id = stem(file, folder);
    const known = stems.get(id);
    if (known === undefined) stems.set(id, [file]);
    else known.push(file);
  }
  for (const [id, same] of stems) {
    if (same.length === 1) continue;
    problems.add("ambiguous partner", id, `${same.join(" and ")} have one name but for the ending; keep one of them`);
  }
  return stems;
}

async function readFolderCondition(
  path: string,
  image: Picture,
  spec: ConditionSpec,
  size: number,
): Promise<Uint8Array> {
  switch (spec.kind) {
    case "semantic": {
      const map = await openPicture(path);
      expectSameShape(map, image);
      return keepNearest(await readLabels(map, spec), size);
    }
    case "lines":
    case "edges": {
      const drawing = await openPicture(path);
      expectSameShape(drawing, image);
      return await squareLines(drawing, size);
    }
    case "keypoints":
      return pointBytes(parsePoints(await readJson(path), spec.points, path, image), spec, image);
    case "layout": {
      const boxes = cutBoxes(parseBoxes(await readJson(path), spec, path, image), image);
      if (boxes.length > spec.boxes || boxes.length === 0) {
        throw new PairProblem(
          "too few or too many objects",
          `${path} has ${boxes.length} boxes in the middle square; 1 to ${spec.boxes} are expected`,
        );
      }
      return boxBytes(boxes, spec);
    }
    case "text":
      return boundedText(await readText(path), spec, path);
    case "audio":
      return logMel(readWav(await readWhole(path), path), spec);
  }
}

/** @throws PairProblem for a text that is empty or too long */
export function boundedText(text: string, spec: TextSpec, path: string): Uint8Array {
  const read = plainText(text, spec);
  const bytes = Buffer.byteLength(read);
  if (bytes > spec.length) {
    throw new PairProblem("text too long", `${path} holds ${bytes} bytes, but ${spec.length} is the most`);
  }
  if (read === "") throw new PairProblem("bad annotation", `${path} holds no text`);
  return textBytes(read, spec);
}
