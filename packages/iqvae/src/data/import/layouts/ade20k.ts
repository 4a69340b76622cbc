import { keepNearest } from "@iqvae/runtime";
import { readLabels } from "../../../media/label-map.ts";
import { expectSameShape, openPicture, squareImage } from "../../../media/picture.ts";
import type { FileTree } from "../readers/file-tree.ts";
import type { ImportOf } from "../requests.ts";
import type { Source } from "../source.ts";
import { ADE20K } from "../specs.ts";
import { partners } from "./folder.ts";

/** The scene parsing benchmark of ADE20K (`ADEChallengeData2016`): maps of 150 classes and 0 for the rest, with its split. */
export function ade20kSource({ size }: ImportOf<"ade20k">, tree: FileTree): Source {
  const images = tree.list("images", [".jpg"]);
  const maps = tree.list("annotations", [".png"]);
  return {
    condition: ADE20K,
    files: [...images, ...maps],
    match(problems) {
      const pairs = partners(
        { folder: "images", files: images.filter(isOfSplit("images")) },
        { folder: "annotations", files: maps.filter(isOfSplit("annotations")) },
        problems,
      );
      return {
        entries: pairs.map(({ id }) => ({ id, validation: id.startsWith("validation/") })),
        async read(index) {
          const pair = pairs[index]!;
          const [image, map] = await Promise.all([
            openPicture(tree.at(pair.image)),
            openPicture(tree.at(pair.condition)),
          ]);
          expectSameShape(map, image);
          const condition = keepNearest(await readLabels(map, ADE20K), size);
          return { image: await squareImage(image, size), condition };
        },
      };
    },
  };
}

const isOfSplit = (folder: string) => (file: string) =>
  file.startsWith(`${folder}/training/`) || file.startsWith(`${folder}/validation/`);
