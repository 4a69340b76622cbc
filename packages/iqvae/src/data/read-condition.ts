import { access } from "node:fs/promises";
import { logMel, readWav } from "@iqvae/runtime";
import { type ConditionSpec, conditionFor, type LayoutSpec, textBytes } from "../conditions/index.ts";
import { readJson, readText, readWhole } from "../media/read-file.ts";
import { readLabelMap, readLines } from "../media/read-image.ts";
import { boxBytes, cutBoxes, parseBoxes, parsePoints, pointBytes } from "./annotations.ts";

/** Annotations of a condition are shares of a square. */
const SQUARE = { width: 1, height: 1 } as const;

/**
 * Reads a condition that a person made, as an import reads it:
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
 * @throws RangeError that says what is wrong, and what was expected
 */
export async function readCondition(source: string, spec: ConditionSpec, size: number): Promise<Uint8Array> {
  const bytes = await read(source, spec, size);
  conditionFor(spec, size).check(bytes);
  return bytes;
}

async function read(source: string, spec: ConditionSpec, size: number): Promise<Uint8Array> {
  switch (spec.kind) {
    case "semantic":
      return await readLabelMap(source, spec, size);
    case "lines":
    case "edges":
      return await readLines(source, size);
    case "keypoints":
      return pointBytes(parsePoints(await readJson(source), spec.points, source, SQUARE), spec, SQUARE);
    case "layout":
      return boxesFrom(await readJson(source), spec, source);
    case "text":
      return textBytes(await textOf(source), spec);
    case "audio":
      return logMel(readWav(await readWhole(source), source), spec);
  }
}

function boxesFrom(document: unknown, spec: LayoutSpec, source: string): Uint8Array {
  const boxes = parseBoxes(document, spec, source, SQUARE);
  const seen = cutBoxes(boxes, SQUARE);
  if (seen.length === boxes.length) return boxBytes(seen, spec);
  throw new RangeError(
    `${source}: of ${boxes.length} boxes ${boxes.length - seen.length} lie mostly outside of the picture.`,
  );
}

/** The text in a file, or the text itself where there is no such file. */
async function textOf(source: string): Promise<string> {
  const isFile = await access(source).then(
    () => true,
    () => false,
  );
  if (isFile) return (await readText(source)).trim();
  // What the shell hands over is decoded by Node.js, which leaves no other trace of bytes that are not UTF-8.
  if (source.includes("\ufffd")) {
    throw new RangeError(`the text ${JSON.stringify(source)} holds U+FFFD, which stands for what is not UTF-8.`);
  }
  return source;
}
