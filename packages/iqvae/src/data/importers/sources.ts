import { folderSource } from "./folder.ts";
import type { ImportRequest } from "./requests.ts";
import type { Source } from "./source.ts";

/** @throws Error when the folder does not have the layout */
export function sourceOf(request: ImportRequest): Source {
  switch (request.name) {
    case "folder":
      return folderSource(request);
  }
}
