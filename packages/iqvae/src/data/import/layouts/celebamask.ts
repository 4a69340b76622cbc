import { join } from "node:path";
import { CELEBAMASK_PARTS } from "../class-names.ts";
import { PairProblem } from "../problems.ts";
import { ending, listFiles, stem } from "../readers/files.ts";
import {
  allPixels,
  expectSameShape,
  keepNearest,
  openPicture,
  type Picture,
  squareImage,
} from "../readers/pictures.ts";
import type { ImportOf } from "../requests.ts";
import { type Source, splitByHash } from "../source.ts";
import { coloredClasses } from "../specs.ts";

const IMAGES = "CelebA-HQ-img";
const MASKS = "CelebAMask-HQ-mask-anno";

/**
 * CelebAMask-HQ: a mask for each part of a face, merged to one map in the order of the data set's own script, so that a later
 * part lies over an earlier one. The layout names no split.
 */
export function celebamaskSource({ path: root, size }: ImportOf<"celebamask-hq">): Source {
  const images = listFiles(root, IMAGES).filter((file) => ending(file) === ".jpg" || ending(file) === ".png");
  const masks = listFiles(root, MASKS).filter((file) => ending(file) === ".png");
  return {
    condition: { kind: "semantic", classes: coloredClasses(["background", ...CELEBAMASK_PARTS]) },
    files: [...images, ...masks],
    match(problems) {
      const parts = new Map<number, Map<string, string>>();
      for (const file of masks) {
        const [, number, part] = /\/(\d+)_(\w+)\.png$/i.exec(file) ?? [];
        if (number === undefined || part === undefined || !CELEBAMASK_PARTS.includes(part)) {
          problems.add("unknown class or color", file, `${file} names no part of a face as NNNNN_part.png`);
          continue;
        }
        const known = parts.get(Number(number)) ?? new Map<string, string>();
        parts.set(Number(number), known.set(part, file));
      }
      const faces = images.flatMap((image) => {
        const id = stem(image, IMAGES);
        const masks = parts.get(Number(id));
        parts.delete(Number(id));
        if (masks === undefined) problems.add("missing partner", id, `${image} has no masks in ${MASKS}/`);
        return masks === undefined ? [] : [{ id, image, masks }];
      });
      for (const [number] of parts) {
        problems.add("missing partner", String(number), `its masks have no image ${IMAGES}/${number}.jpg`);
      }
      return {
        entries: splitByHash(faces.map(({ id }) => id)),
        async read(index) {
          const { image, masks } = faces[index]!;
          const picture = await openPicture(join(root, image));
          const condition = new Uint8Array(size * size);
          for (const [i, part] of CELEBAMASK_PARTS.entries()) {
            const file = masks.get(part);
            if (file !== undefined) await paintPart(condition, i + 1, join(root, file), picture, size);
          }
          return { image: await squareImage(picture, size), condition };
        },
      };
    },
  };
}

/** Writes a label wherever a mask is white. Masks are black and white; anything between is no mask. */
async function paintPart(map: Uint8Array, label: number, path: string, image: Picture, size: number): Promise<void> {
  const mask = await openPicture(path);
  expectSameShape(mask, image);
  const { data, channels, bits, palette, ...shape } = await allPixels(mask);
  const colors = channels === 1 ? palette : undefined;
  const white = colors === undefined ? 2 ** bits - 1 : 255;
  const painted = new Uint8Array(shape.width * shape.height);
  for (let i = 0, at = 0; at < data.length; i++, at += channels) {
    const value = colors === undefined ? data[at]! : colors[data[at]!]![0];
    if (value !== 0 && value !== white) {
      throw new PairProblem("unknown class or color", `${path} holds ${value}, but a mask holds 0 and ${white}`);
    }
    painted[i] = value;
  }
  keepNearest(painted, shape, size).forEach((value, at) => {
    if (value !== 0) map[at] = label;
  });
}
