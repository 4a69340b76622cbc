import { ade20kSource } from "./layouts/ade20k.ts";
import { celebamaskSource } from "./layouts/celebamask.ts";
import { cocoStuffSource } from "./layouts/coco-stuff.ts";
import { cubSource } from "./layouts/cub.ts";
import { deepfashionSource } from "./layouts/deepfashion.ts";
import { folderSource } from "./layouts/folder.ts";
import { imagesSource } from "./layouts/images.ts";
import { subUrmpSource } from "./layouts/sub-urmp.ts";
import type { ImportRequest } from "./requests.ts";
import type { Source } from "./source.ts";

/** @throws Error when the folder does not have the layout */
export function sourceOf(request: ImportRequest): Source {
  switch (request.name) {
    case "folder":
      return folderSource(request);
    case "images":
      return imagesSource(request);
    case "ade20k":
      return ade20kSource(request);
    case "celebamask-hq":
      return celebamaskSource(request);
    case "deepfashion":
      return deepfashionSource(request);
    case "coco-stuff":
      return cocoStuffSource(request);
    case "cub-200-2011":
      return cubSource(request);
    case "sub-urmp":
      return subUrmpSource(request);
  }
}
