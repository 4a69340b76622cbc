import { ade20kSource } from "./layouts/ade20k.ts";
import { celebamaskSource } from "./layouts/celebamask.ts";
import { cocoStuffSource } from "./layouts/coco-stuff.ts";
import { cubSource } from "./layouts/cub.ts";
import { deepfashionSource } from "./layouts/deepfashion.ts";
import { folderSource } from "./layouts/folder.ts";
import { imagesSource } from "./layouts/images.ts";
import { subUrmpSource } from "./layouts/sub-urmp.ts";
import type { FileTree } from "./readers/file-tree.ts";
import type { ImportRequest } from "./requests.ts";
import type { Source } from "./source.ts";

/** @throws Error when the folder does not have the layout */
export function sourceOf(request: ImportRequest, tree: FileTree): Source {
  switch (request.name) {
    case "folder":
      return folderSource(request, tree);
    case "images":
      return imagesSource(request, tree);
    case "ade20k":
      return ade20kSource(request, tree);
    case "celebamask-hq":
      return celebamaskSource(request, tree);
    case "deepfashion":
      return deepfashionSource(request, tree);
    case "coco-stuff":
      return cocoStuffSource(request, tree);
    case "cub-200-2011":
      return cubSource(request, tree);
    case "sub-urmp":
      return subUrmpSource(request, tree);
  }
}
