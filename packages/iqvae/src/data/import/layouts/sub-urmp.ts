import { join } from "node:path";
import { dirname } from "node:path/posix";
import { logMel } from "../../../media/log-mel.ts";
import { readWav } from "../../../media/wav.ts";
import { ending, listFiles, readWhole, SOUNDS } from "../readers/files.ts";
import { openPicture, squareImage } from "../readers/pictures.ts";
import type { ImportOf } from "../requests.ts";
import type { Source } from "../source.ts";
import { PLAYING } from "../specs.ts";
import { partners } from "./folder.ts";

/** Sub-URMP: half seconds of one instrument's sound, and a picture of its player; `img/` and `chunk/`, with its split. */
export function subUrmpSource({ path: root, size }: ImportOf<"sub-urmp">): Source {
  const images = listFiles(root, "img").filter((file) => ending(file) === ".jpg");
  const sounds = listFiles(root, "chunk").filter((file) => SOUNDS.includes(ending(file) as ".wav"));
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
          const path = join(root, condition);
          const sound = logMel(readWav(await readWhole(path), path), PLAYING);
          return { image: await squareImage(await openPicture(join(root, image)), size), condition: sound };
        },
      };
    },
  };
}
