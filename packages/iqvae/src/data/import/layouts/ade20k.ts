import { join } from "node:path";
import { ADE20K_CLASSES } from "../class-names.ts";
import { ending, listFiles } from "../readers/files.ts";
import { squareMap } from "../readers/maps.ts";
import { expectSameShape, openPicture, squareImage } from "../readers/pictures.ts";
import type { ImportOf } from "../requests.ts";
import type { Source } from "../source.ts";
import { coloredClasses } from "../specs.ts";
import { partners } from "./folder.ts";

/** The scene parsing benchmark of ADE20K (`ADEChallengeData2016`): maps of 150 classes and 0 for the rest, with its split. */
export function ade20kSource({ path: root, size }: ImportOf<"ade20k">): Source {
  const classes = coloredClasses(ADE20K_CLASSES);
  const images = listFiles(root, "images").filter((file) => ending(file) === ".jpg");
  const maps = listFiles(root, "annotations").filter((file) => ending(file) === ".png");
  return {
    condition: { kind: "semantic", classes },
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
            openPicture(join(root, pair.image)),
            openPicture(join(root, pair.condition)),
          ]);
          expectSameShape(map, image);
          return { image: await squareImage(image, size), condition: await squareMap(map, classes, "numbers", size) };
        },
      };
    },
  };
}

const isOfSplit = (folder: string) => (file: string) =>
  file.startsWith(`${folder}/training/`) || file.startsWith(`${folder}/validation/`);
