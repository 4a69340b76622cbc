import { dirname } from "node:path/posix";
import { logMel, readWav } from "@iqvae/runtime";
import { openPicture, squareImage } from "../../../media/picture.ts";
import { readWhole } from "../../../media/read-file.ts";
import { type FileTree, SOUNDS } from "../readers/file-tree.ts";
import type { ImportOf } from "../requests.ts";
import type { Source } from "../source.ts";
import { PLAYING } from "../specs.ts";
import { partners } from "./folder.ts";

/** Sub-URMP: half seconds of one instrument's sound, and a picture of its player; `img/` and `chunk/`, with its split. */
export function subUrmpSource({ size }: ImportOf<"sub-urmp">, tree: FileTree): Source {
  const images = tree.list("img", [".jpg"]);
  const sounds = tree.list("chunk", SOUNDS);
  return {
    condition: PLAYING,
    // Names number the moments of a recording; the folder is the instrument.
    facts: { group: (id) => id.replace(/\d+$/, ""), concept: dirname },
    files: [...images, ...sounds],
    match(problems) {
      const pairs = partners({ folder: "img", files: images }, { folder: "chunk", files: sounds }, problems);
      return {
        entries: pairs.map(({ id }) => ({ id, validation: !id.startsWith("train/") })),
        async read(index) {
          const { image, condition } = pairs[index]!;
          const path = tree.at(condition);
          const sound = logMel(readWav(await readWhole(path), path), PLAYING);
          return { image: await squareImage(await openPicture(tree.at(image)), size), condition: sound };
        },
      };
    },
  };
}
