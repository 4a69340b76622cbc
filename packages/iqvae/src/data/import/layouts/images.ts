import { closeSync, openSync, readSync } from "node:fs";
import { colorEdges } from "@iqvae/runtime";
import { isContactSheet, SHEET_MARK } from "../../../media/contact-sheet.ts";
import { openPicture, squareImage } from "../../../media/picture.ts";
import { PairProblem } from "../problems.ts";
import { type FileTree, PICTURES } from "../readers/file-tree.ts";
import type { ImportOf } from "../requests.ts";
import { type Source, splitByHash } from "../source.ts";

/** Any folder of pictures, such as CelebA-HQ, with the edges of each as its condition. */
export function imagesSource({ size }: ImportOf<"images">, tree: FileTree): Source {
  // A picture that is there twice would be on both sides of the split.
  const pictures = tree.list(".", PICTURES, { once: true });
  // Left out before anything else, so that whoever works in the folder does not make it another data set with each sheet.
  const sheets = new Set(pictures.filter((file) => OWN_PLACES.test(file) && beginsAsSheet(tree.at(file))));
  const images = pictures.filter((file) => !sheets.has(file));
  return {
    condition: { kind: "edges" },
    facts: { edgesOfImage: true },
    files: images,
    match(problems) {
      for (const sheet of sheets) problems.add("contact sheet", sheet.slice(2), OWN);
      return {
        entries: splitByHash(images.map((file) => file.slice(2))),
        async read(index) {
          const picture = await openPicture(tree.at(images[index]!));
          if (isContactSheet(picture.header)) throw new PairProblem("contact sheet", OWN);
          const image = await squareImage(picture, size);
          return { image, condition: colorEdges(image, size) };
        },
      };
    },
  };
}

const OWN = "it was drawn by this program, to look at";
/** Where sheets are written unless `--out` says so: by `import` and `data`, and into the folder of a run. */
const OWN_PLACES = /\/data-[^/]*\.png$|\/samples\/[^/]*\.png$/;
/** The mark stands before the pixels. */
const BEGINNING = 1024;

function beginsAsSheet(path: string): boolean {
  try {
    const file = openSync(path, "r");
    try {
      const bytes = Buffer.alloc(BEGINNING);
      readSync(file, bytes);
      return bytes.includes(SHEET_MARK);
    } finally {
      closeSync(file);
    }
  } catch {
    // Whoever reads it says why it cannot be read.
    return false;
  }
}
