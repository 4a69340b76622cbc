import { stat } from "node:fs/promises";
import { boxBytes, cutBoxes, logMel, parseBoxes, parsePoints, pointBytes, readWav } from "@iqvae/runtime";
import { type ConditionSpec, conditionFor, type LayoutSpec, textBytes } from "../conditions/index.ts";
import { pictureOf } from "../media/picture.ts";
import { readJson, readText, readWhole } from "../media/read-file.ts";
import { labelMapOf, linesOf } from "../media/read-image.ts";

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
  return await conditionFrom(await givenIn(source, spec), spec, size, source);
}

/** A condition that a person made, in memory. */
export type GivenCondition =
  /** A picture file: a map or a drawing, as its kind of condition is read from one. */
  | { readonly kind: "picture"; readonly file: Buffer }
  /** As a JSON file of key points, or of boxes, has it. */
  | { readonly kind: "points" | "boxes"; readonly document: unknown }
  | { readonly kind: "text"; readonly text: string }
  /** A WAV file. */
  | { readonly kind: "sound"; readonly file: Uint8Array };

/** What a kind of condition is made of. */
export function givenKindOf(spec: ConditionSpec): GivenCondition["kind"] {
  switch (spec.kind) {
    case "semantic":
    case "lines":
    case "edges":
      return "picture";
    case "keypoints":
      return "points";
    case "layout":
      return "boxes";
    case "text":
      return "text";
    case "audio":
      return "sound";
  }
}

/**
 * As {@link readCondition}, of what is in memory.
 *
 * @param given of the kind that {@link givenKindOf} says
 * @param name what to call it in messages
 */
export async function conditionFrom(
  given: GivenCondition,
  spec: ConditionSpec,
  size: number,
  name: string,
): Promise<Uint8Array> {
  const bytes = await bytesOf(given, spec, size, name);
  conditionFor(spec, size).check(bytes);
  return bytes;
}

async function bytesOf(given: GivenCondition, spec: ConditionSpec, size: number, name: string): Promise<Uint8Array> {
  if (given.kind === "picture" && spec.kind === "semantic")
    return await labelMapOf(await pictureOf(given.file, name), spec, size);
  if (given.kind === "picture" && (spec.kind === "lines" || spec.kind === "edges"))
    return await linesOf(await pictureOf(given.file, name), size);
  if (given.kind === "points" && spec.kind === "keypoints")
    return pointBytes(parsePoints(given.document, spec.points, name, SQUARE), spec, SQUARE);
  if (given.kind === "boxes" && spec.kind === "layout") return boxesFrom(given.document, spec, name);
  if (given.kind === "text" && spec.kind === "text") return textBytes(given.text, spec);
  if (given.kind === "sound" && spec.kind === "audio") return logMel(readWav(given.file, name), spec);
  throw new RangeError(
    `${name}: a condition of kind "${spec.kind}" is made of ${givenKindOf(spec)}, not of ${given.kind}.`,
  );
}

async function givenIn(source: string, spec: ConditionSpec): Promise<GivenCondition> {
  const kind = givenKindOf(spec);
  switch (kind) {
    case "picture":
    case "sound":
      return { kind, file: await readWhole(source) };
    case "points":
    case "boxes":
      return { kind, document: await readJson(source) };
    case "text":
      return { kind, text: await textOf(source) };
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

/** The text in a file, or the text itself where there is no such file. A folder holds no text: words such as "bench" may be its name. */
async function textOf(source: string): Promise<string> {
  const isFile = await stat(source).then(
    (found) => !found.isDirectory(),
    // Whoever misspells the name of a file must not get pictures of it.
    () => /\.txt$/i.test(source),
  );
  if (isFile) return (await readText(source)).trim();
  // What the shell hands over is decoded by Node.js, which leaves no other trace of bytes that are not UTF-8.
  if (source.includes("\ufffd")) {
    throw new RangeError(`the text ${JSON.stringify(source)} holds U+FFFD, which stands for what is not UTF-8.`);
  }
  return source;
}
