import { join } from "node:path";
import { colorEdges } from "../../../media/edges.ts";
import { ending, listFiles, PICTURES } from "../readers/files.ts";
import { openPicture, squareImage } from "../readers/pictures.ts";
import type { ImportOf } from "../requests.ts";
import { type Source, splitByHash } from "../source.ts";

/** Any folder of pictures, such as CelebA-HQ, with the edges of each as its condition. */
export function imagesSource({ path: root, size }: ImportOf<"images">): Source {
  const images = listFiles(root, ".").filter((file) => PICTURES.includes(ending(file) as ".png"));
  return {
    condition: { kind: "edges" },
    facts: { edgesOfImage: true },
    files: images,
    match: () => ({
      entries: splitByHash(images.map((file) => file.slice(2))),
      async read(index) {
        const image = await squareImage(await openPicture(join(root, images[index]!)), size);
        return { image, condition: colorEdges(image, size) };
      },
    }),
  };
}
