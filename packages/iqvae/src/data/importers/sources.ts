import { ade20kSource } from "./ade20k.ts";
import { celebamaskSource } from "./celebamask.ts";
import { cocoStuffSource } from "./coco-stuff.ts";
import { cubSource } from "./cub.ts";
import { deepfashionSource } from "./deepfashion.ts";
import { folderSource } from "./folder.ts";
import { imagesSource } from "./images.ts";
import type { ImportRequest } from "./requests.ts";
import type { Source } from "./source.ts";
import { subUrmpSource } from "./sub-urmp.ts";

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
