import { join } from "node:path";
import { type ConditionSpec, textBytes } from "../../../conditions/index.ts";
import { logMel } from "../../../media/log-mel.ts";
import { readWav } from "../../../media/wav.ts";
import { PairProblem, type Problems } from "../problems.ts";
import { boxBytes, cutBoxes, isNumber, type Point, pointBytes } from "../readers/annotations.ts";
import { ending, listFiles, PICTURES, readJson, readText, readWhole, SOUNDS, stem } from "../readers/files.ts";
import { squareLines, squareMap } from "../readers/maps.ts";
import { expectSameShape, openPicture, type Picture, squareImage } from "../readers/pictures.ts";
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
export function folderSource(request: FolderRequest): Source {
  const { path: root, size } = request;
  const spec = importedCondition(request);
  const images = listFiles(root, "image").filter((file) => PICTURES.includes(ending(file) as ".png"));
  const conditions = listFiles(root, "condition").filter((file) => ENDINGS[request.condition].includes(ending(file)));
  return {
    condition: spec,
    files: [...images, ...conditions],
    match(problems) {
      const pairs = partners({ folder: "image", files: images }, { folder: "condition", files: conditions }, problems);
      return {
        entries: splitByHash(pairs.map(({ id }) => id)),
        async read(index) {
          const { image, condition } = pairs[index]!;
          const picture = await openPicture(join(root, image));
          const bytes = await readFolderCondition(join(root, condition), picture, request, spec);
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
    for (const [id, file] of own) {
      if (!other.has(id)) problems.add("missing partner", id, `${file} has no partner in ${side.folder}/`);
    }
  }
  return [...image].flatMap(([id, file]) => {
    const partner = condition.get(id);
    return partner === undefined || partner === null || file === null ? [] : [{ id, image: file, condition: partner }];
  });
}

/** The file of each name; `null` for a name that several files have. */
type Stems = Map<string, string | null>;

function byStem({ folder, files }: Side, problems: Problems): Stems {
  const stems: Stems = new Map();
  for (const file of files) {
    const id = stem(file, folder);
    const known = stems.get(id);
    if (known !== undefined && known !== null) {
      problems.add("ambiguous partner", id, `${known} and ${file} differ in their endings only; keep one of them`);
    }
    stems.set(id, known === undefined ? file : null);
  }
  return stems;
}

async function readFolderCondition(
  path: string,
  image: Picture,
  request: FolderRequest,
  spec: ConditionSpec,
): Promise<Uint8Array> {
  const { size } = request;
  switch (spec.kind) {
    case "semantic": {
      const map = await openPicture(path);
      expectSameShape(map, image);
      const { classes } = request as Extract<FolderRequest, { condition: "semantic" }>;
      return await squareMap(map, spec.classes, typeof classes[0] === "string" ? "numbers" : "colors", size);
    }
    case "lines":
    case "edges": {
      const drawing = await openPicture(path);
      expectSameShape(drawing, image);
      return await squareLines(drawing, size);
    }
    case "keypoints":
      return pointBytes(pointsOf(await readJson(path), spec.points, path, image), spec, image);
    case "layout": {
      const boxes = cutBoxes(boxesOf(await readJson(path), spec.classes, path, image), image);
      if (boxes.length > spec.boxes || boxes.length === 0) {
        throw new PairProblem(
          "too few or too many objects",
          `${path} has ${boxes.length} boxes in the middle square; 1 to ${spec.boxes} are expected`,
        );
      }
      return boxBytes(boxes, spec);
    }
    case "text":
      return boundedText((await readText(path)).trim(), spec.length, path);
    case "audio":
      return logMel(readWav(await readWhole(path), path), spec);
  }
}

/** @throws PairProblem for a text that is empty or too long */
export function boundedText(text: string, length: number, path: string): Uint8Array {
  const bytes = Buffer.byteLength(text);
  if (bytes > length) throw new PairProblem("text too long", `${path} holds ${bytes} bytes, but ${length} is the most`);
  if (text === "") throw new PairProblem("bad annotation", `${path} holds no text`);
  return textBytes(text, { kind: "text", length });
}

function pointsOf(document: unknown, names: readonly string[], path: string, image: Picture): Point[] {
  if (!Array.isArray(document) || document.length !== names.length) {
    const came = Array.isArray(document) ? `a list of ${document.length}` : "no list";
    throw new PairProblem("bad annotation", `${path} is ${came}, but must be a list of ${names.length} points`);
  }
  return document.map((point: unknown, k) => {
    if (point === null) return undefined;
    const [x, y] = Array.isArray(point) && point.length === 2 ? (point as unknown[]) : [];
    if (isShare(x) && isShare(y)) return [x * image.width, y * image.height];
    throw new PairProblem(
      "bad annotation",
      `${path}: point ${k} (${names[k]}) must be [x, y] in 0 … 1 of the picture, or null`,
    );
  });
}

function boxesOf(document: unknown, classes: readonly { readonly name: string }[], path: string, image: Picture) {
  if (!Array.isArray(document)) throw new PairProblem("bad annotation", `${path} must be a list of boxes`);
  return document.map((entry: unknown, n) => {
    const { class: name, box } = (typeof entry === "object" && entry !== null ? entry : {}) as Record<string, unknown>;
    if (typeof name !== "string") {
      throw new PairProblem("bad annotation", `${path}: box ${n} must be { "class": name, "box": [ … ] }`);
    }
    const label = classes.findIndex((known) => known.name === name);
    if (label < 0) {
      const text = JSON.stringify(name);
      throw new PairProblem("unknown class or color", `${path}: box ${n} has the class ${text}, which is none`);
    }
    const [left, top, width, height] = Array.isArray(box) && box.length === 4 ? (box as unknown[]) : [];
    if (isShare(left) && isShare(top) && isShare(width) && isShare(height) && width > 0 && height > 0) {
      const [w, h] = [image.width, image.height];
      return { label, left: left * w, top: top * h, width: width * w, height: height * h };
    }
    throw new PairProblem(
      "bad annotation",
      `${path}: box ${n} must be [left, top, width, height] in 0 … 1 of the picture`,
    );
  });
}

function isShare(value: unknown): value is number {
  return isNumber(value) && value >= 0 && value <= 1;
}
