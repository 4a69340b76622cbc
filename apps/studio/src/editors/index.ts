import type { ConditionSpec } from "@iqvae/runtime";
import { audioEditor } from "./audio.ts";
import type { Editor, Listener } from "./editor.ts";
import { keyPointEditor } from "./key-points.ts";
import { layoutEditor } from "./layout.ts";
import { linesEditor } from "./lines.ts";
import { semanticEditor } from "./semantic.ts";
import { textEditor } from "./text.ts";

export type { Editor } from "./editor.ts";

/** Where conditions of a model are made by hand, for pictures of `size` pixels a side. */
export function editorFor(spec: ConditionSpec, size: number, listener: Listener): Editor {
  switch (spec.kind) {
    case "semantic":
      return semanticEditor(spec, size, listener);
    case "lines":
    case "edges":
      return linesEditor(size, listener);
    case "keypoints":
      return keyPointEditor(spec, listener);
    case "layout":
      return layoutEditor(spec, listener);
    case "text":
      return textEditor(spec, listener);
    case "audio":
      return audioEditor(spec, listener);
  }
}
