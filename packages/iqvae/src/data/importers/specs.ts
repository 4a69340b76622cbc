import type { ConditionSpec, Rgb, SemanticClass } from "../../conditions/index.ts";
import type { FolderRequest, ImportRequest } from "./requests.ts";

/** What the conditions of an import hold, without looking at its files. */
export function importedCondition(request: ImportRequest): ConditionSpec {
  switch (request.name) {
    case "folder":
      return folderCondition(request);
  }
}

function folderCondition(request: FolderRequest): ConditionSpec {
  switch (request.condition) {
    case "semantic":
      return { kind: "semantic", classes: coloredClasses(request.classes) };
    case "lines":
    case "edges":
      return { kind: request.condition };
    case "keypoints":
      return { kind: "keypoints", points: request.points, bones: request.bones };
    case "layout":
      return { kind: "layout", classes: coloredClasses(request.classes), boxes: request.boxes };
    case "text":
      return { kind: "text", length: request.length };
    case "audio":
      return { kind: "audio", bands: request.bands, frames: request.frames };
  }
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

/** Hues by the golden angle, so that neighboring numbers lie far apart; lightness in three steps. */
function distinctColor(label: number): Rgb {
  const hue = (label * 137.508) / 60;
  const lightness = 0.4 + 0.15 * (label % 3);
  const chroma = 0.7 * Math.min(lightness, 1 - lightness);
  const channel = (n: number) => {
    const k = (n + hue * 2) % 12;
    return Math.round(255 * (lightness - chroma * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [channel(0), channel(8), channel(4)];
}
