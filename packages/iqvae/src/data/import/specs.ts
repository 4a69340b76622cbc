import {
  type AudioSpec,
  type ConditionSpec,
  GOLDEN_ANGLE,
  hslColor,
  type KeyPointSpec,
  type LayoutSpec,
  type Rgb,
  type SemanticClass,
  type SemanticSpec,
} from "../../conditions/index.ts";
import { ADE20K_CLASSES, BODY_POINTS, CELEBAMASK_PARTS, COCO_CLASSES } from "./class-names.ts";
import type { FolderRequest, ImportRequest } from "./requests.ts";

/** What the conditions of an import hold, without looking at its files. */
export function importedCondition(request: ImportRequest): ConditionSpec {
  switch (request.name) {
    case "folder":
      return folderCondition(request);
    case "images":
      return { kind: "edges" };
    case "ade20k":
      return ADE20K;
    case "celebamask-hq":
      return CELEBAMASK;
    case "deepfashion":
      return BODY;
    case "coco-stuff":
      return COCO_LAYOUT;
    case "cub-200-2011":
      return { kind: "text", length: request.length };
    case "sub-urmp":
      return PLAYING;
  }
}

function folderCondition(request: FolderRequest): ConditionSpec {
  switch (request.condition) {
    case "semantic":
      return semanticSpec(request.classes);
    case "lines":
    case "edges":
      return { kind: request.condition };
    case "keypoints":
      return { kind: "keypoints", points: request.points, bones: request.bones };
    case "layout":
      return { kind: "layout", classes: coloredClasses(request.classes), boxes: request.boxes };
    case "text":
      return { kind: "text", length: request.length, ...(request.lowercase && { lowercase: true }) };
    case "audio":
      return {
        kind: "audio",
        bands: request.bands,
        frames: request.frames,
        ...(request.stretch && { stretch: true }),
      };
  }
}

/** Classes that have only names are known by their numbers. */
function semanticSpec(classes: Extract<FolderRequest, { condition: "semantic" }>["classes"]): SemanticSpec {
  const indexed = typeof classes[0] === "string";
  return { kind: "semantic", classes: coloredClasses(classes), ...(indexed && { indexed }) };
}

/** Classes with their own colors, or with colors that people can tell apart as well as so many can be. */
export function coloredClasses(
  classes: readonly (string | { readonly name: string; readonly color: string })[],
): readonly SemanticClass[] {
  return classes.map((entry, label) =>
    typeof entry === "string"
      ? { name: entry, color: distinctColor(label) }
      : { name: entry.name, color: parseColor(entry.color) },
  );
}

function parseColor(text: string): Rgb {
  const value = Number.parseInt(text.slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
}

/** Neighboring numbers lie far apart; lightness in three steps. */
function distinctColor(label: number): Rgb {
  return hslColor(label * GOLDEN_ANGLE, 0.7, 0.4 + 0.15 * (label % 3));
}

/** The classes of the scene parsing benchmark; 0 is the rest. */
export const ADE20K: SemanticSpec = { kind: "semantic", classes: coloredClasses(ADE20K_CLASSES), indexed: true };

/** The parts of a face, over a background. */
export const CELEBAMASK: SemanticSpec = {
  kind: "semantic",
  classes: coloredClasses(["background", ...CELEBAMASK_PARTS]),
  indexed: true,
};

/** The body of OpenPose; bones are what it draws. */
export const BODY: KeyPointSpec = {
  kind: "keypoints",
  points: BODY_POINTS,
  bones: [
    [1, 2],
    [2, 3],
    [3, 4],
    [1, 5],
    [5, 6],
    [6, 7],
    [1, 8],
    [8, 9],
    [9, 10],
    [1, 11],
    [11, 12],
    [12, 13],
    [1, 0],
    [0, 14],
    [14, 16],
    [0, 15],
    [15, 17],
  ],
};

/** Layouts of COCO-Stuff. */
export const COCO_LAYOUT: LayoutSpec = { kind: "layout", classes: coloredClasses(COCO_CLASSES), boxes: 8 };

/** The half seconds of Sub-URMP, and a little silence: a number of frames that can be halved. */
export const PLAYING: AudioSpec = { kind: "audio", bands: 32, frames: 32 };
