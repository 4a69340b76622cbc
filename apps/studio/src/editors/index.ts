import type { ConditionSpec } from "@iqvae/runtime";
import type { Editor, Listener } from "./editor.ts";
import { linesEditor } from "./lines.ts";
import { semanticEditor } from "./semantic.ts";

export type { Editor } from "./editor.ts";

/** Where conditions of a model are made by hand, for pictures of `size` pixels a side. */
export function editorFor(spec: ConditionSpec, size: number, listener: Listener): Editor {
  switch (spec.kind) {
    case "semantic":
      return semanticEditor(spec, size, listener);
    case "lines":
    case "edges":
      return linesEditor(size, listener);
    default:
      throw new Error(`conditions of kind "${spec.kind}" cannot be made here yet`);
  }
}
