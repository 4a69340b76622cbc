import { access, readFile } from "node:fs/promises";
import {
  type ConditionSpec,
  conditionFor,
  type KeyPointSpec,
  type LayoutSpec,
  layoutBytes,
  textBytes,
} from "../conditions/index.ts";
import { logMel } from "../media/log-mel.ts";
import { readLabelMap, readLines } from "../media/read-image.ts";
import { readWav } from "../media/wav.ts";

/**
 * Reads a condition that a person made:
 *
 * | kind | from |
 * |---|---|
 * | `semantic` | an image of exactly `size × size` pixels, as {@link readLabelMap} |
 * | `lines`, `edges` | an image of exactly `size × size` pixels, as {@link readLines} |
 * | `keypoints` | a JSON file: for each point `[x, y]` as shares of the side in [0, 1], or `null` when it is hidden |
 * | `layout` | a JSON file: a list of `{ "class": name, "box": [left, top, width, height] }`, in shares of the side |
 * | `text` | a text file, or the text itself |
 * | `audio` | a WAV file |
 *
 * @returns the condition's bytes, as in a batch
 * @throws RangeError that says what is wrong, and what was expected; Error for a file that cannot be read
 */
export async function readCondition(source: string, spec: ConditionSpec, size: number): Promise<Uint8Array> {
  const bytes = await read(source, spec, size);
  conditionFor(spec, size).check(bytes);
  return bytes;
}

async function read(source: string, spec: ConditionSpec, size: number): Promise<Uint8Array> {
  switch (spec.kind) {
    case "semantic":
      return await readLabelMap(source, spec.classes, size);
    case "lines":
    case "edges":
      return await readLines(source, size);
    case "keypoints":
      return pointsFrom(await readJson(source), spec, source);
    case "layout":
      return boxesFrom(await readJson(source), spec, source);
    case "text":
      return textBytes((await exists(source)) ? (await readFile(source, "utf8")).trim() : source, spec);
    case "audio":
      return logMel(readWav(await readBytes(source), source), spec);
  }
}

/** Shares of the side as the bytes that stand for them. */
function share(value: unknown): number | undefined {
  return typeof value === "number" && value >= 0 && value <= 1 ? Math.round(value * 255) : undefined;
}

function pointsFrom(document: unknown, { points }: KeyPointSpec, source: string): Uint8Array {
  if (!Array.isArray(document) || document.length !== points.length) {
    const came = Array.isArray(document) ? `${document.length} entries` : "no list";
    throw new RangeError(`${source}: expected a list of ${points.length} points (${points.join(", ")}), got ${came}.`);
  }
  const bytes = new Uint8Array(3 * points.length);
  document.forEach((point: unknown, k) => {
    if (point === null) return;
    const [x, y] = Array.isArray(point) && point.length === 2 ? [share(point[0]), share(point[1])] : [];
    if (x === undefined || y === undefined) {
      throw new RangeError(
        `${source}: point ${k} (${points[k]}) is ${JSON.stringify(point)}, but must be [x, y] in 0 … 1 of the side, or null.`,
      );
    }
    bytes.set([x, y, 1], 3 * k);
  });
  return bytes;
}

function boxesFrom(document: unknown, spec: LayoutSpec, source: string): Uint8Array {
  if (!Array.isArray(document)) throw new RangeError(`${source}: expected a list of boxes [ … ].`);
  const names = spec.classes.map(({ name }) => name);
  const boxes = document.map((entry: unknown, n) => {
    const { class: name, box } = (typeof entry === "object" && entry !== null ? entry : {}) as Record<string, unknown>;
    const label = names.indexOf(String(name));
    if (label < 0) {
      throw new RangeError(
        `${source}: box ${n} has the class ${JSON.stringify(name)}; choose one of ${names.join(", ")}.`,
      );
    }
    const [left, top, width, height] = Array.isArray(box) && box.length === 4 ? box.map(share) : [];
    if (left === undefined || top === undefined || width === undefined || height === undefined) {
      throw new RangeError(
        `${source}: box ${n} is ${JSON.stringify(box)}, but must be [left, top, width, height] in 0 … 1 of the side.`,
      );
    }
    // Rounding may carry a box that touches the border over it by one.
    return { label, left, top, width: Math.min(width, 255 - left), height: Math.min(height, 255 - top) };
  });
  return layoutBytes(boxes, spec);
}

async function readJson(source: string): Promise<unknown> {
  const text = new TextDecoder().decode(await readBytes(source));
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new RangeError(`${source} is no JSON file: ${(error as Error).message}`, { cause: error });
  }
}

async function readBytes(source: string): Promise<Uint8Array> {
  if (!(await exists(source))) throw new Error(`readCondition("${source}"): there is no such file that can be read.`);
  return await readFile(source);
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
