import { keepNearest } from "@iqvae/runtime";
import { storedPixels } from "../../../media/label-map.ts";
import { expectSameShape, openPicture, type Picture, squareImage } from "../../../media/picture.ts";
import { CELEBAMASK_PARTS } from "../class-names.ts";
import { PairProblem, type Problems } from "../problems.ts";
import { type FileTree, stem } from "../readers/file-tree.ts";
import type { ImportOf } from "../requests.ts";
import { type Source, splitByHash } from "../source.ts";
import { CELEBAMASK } from "../specs.ts";

const IMAGES = "CelebA-HQ-img";
const MASKS = "CelebAMask-HQ-mask-anno";

/**
 * CelebAMask-HQ: a mask for each part of a face, merged to one map in the order of the data set's own script, so that a later
 * part lies over an earlier one. The layout names no split.
 */
export function celebamaskSource({ size }: ImportOf<"celebamask-hq">, tree: FileTree): Source {
  const images = tree.list(IMAGES, [".jpg", ".png"]);
  const masks = tree.list(MASKS, [".png"]);
  return {
    condition: CELEBAMASK,
    files: [...images, ...masks],
    match(problems) {
      const faces = facesOf(images, masks, problems);
      return {
        entries: splitByHash(faces.map(({ id }) => id)),
        async read(index) {
          const { image, masks } = faces[index]!;
          const picture = await openPicture(tree.at(image));
          const condition = new Uint8Array(size * size);
          for (const [i, part] of CELEBAMASK_PARTS.entries()) {
            const file = masks.get(part);
            if (file !== undefined) await paintPart(condition, i + 1, tree.at(file), picture, size);
          }
          return { image: await squareImage(picture, size), condition };
        },
      };
    },
  };
}

interface Face {
  readonly id: string;
  readonly image: string;
  /** The file of each part. */
  readonly masks: ReadonlyMap<string, string>;
}

/** Images and the masks of the same number; numbers are compared as text, however long they are. */
function facesOf(images: readonly string[], masks: readonly string[], problems: Problems): Face[] {
  const parts = new Map<string, Map<string, string>>();
  const ambiguous = new Set<string>();
  for (const file of masks) {
    const [, number, part] = /\/(\d+)_(\w+)\.png$/i.exec(file) ?? [];
    if (number === undefined || part === undefined || !CELEBAMASK_PARTS.includes(part)) {
      problems.add("unknown class or color", file, `${file} names no part of a face as NNNNN_part.png`);
      continue;
    }
    const key = unpadded(number);
    const known = parts.get(key) ?? new Map<string, string>();
    const other = known.get(part);
    if (other !== undefined) {
      problems.add("ambiguous partner", key, `${other} and ${file} are masks of one part; keep one of them`);
      ambiguous.add(key);
    }
    parts.set(key, known.set(part, file));
  }
  const named = new Map<string, string>();
  for (const image of images) {
    const key = unpadded(stem(image, IMAGES));
    const other = named.get(key);
    if (other === undefined) named.set(key, image);
    else {
      problems.add("ambiguous partner", key, `${other} and ${image} are images of one number; keep one of them`);
      ambiguous.add(key);
    }
  }
  for (const number of parts.keys()) {
    if (!named.has(number)) problems.add("missing partner", number, `its masks have no image ${IMAGES}/${number}.jpg`);
  }
  return [...named].flatMap(([key, image]) => {
    const masks = parts.get(key);
    if (masks === undefined) problems.add("missing partner", key, `${image} has no masks in ${MASKS}/`);
    return masks === undefined || ambiguous.has(key) ? [] : [{ id: stem(image, IMAGES), image, masks }];
  });
}

const unpadded = (number: string) => number.replace(/^0+(?=\d)/, "");

/** Writes a label wherever a mask is white. Masks are black and white; anything between does not belong into one. */
async function paintPart(map: Uint8Array, label: number, path: string, image: Picture, size: number): Promise<void> {
  const mask = await openPicture(path);
  expectSameShape(mask, image);
  const { data, channels, bits, width, height } = await storedPixels(mask);
  const white = 2 ** bits - 1;
  const labels = new Uint8Array(width * height);
  for (let i = 0, at = 0; at < data.length; i++, at += channels) {
    const value = data[at]!;
    const isGray = channels <= 2 || (data[at + 1] === value && data[at + 2] === value);
    if (!isGray || (value !== 0 && value !== white)) {
      const came = data.subarray(at, at + Math.min(channels, 3)).join(", ");
      throw new PairProblem("unknown class or color", `${path} holds ${came}, but a mask holds 0 and ${white}`);
    }
    labels[i] = value;
  }
  keepNearest({ labels, width, height }, size).forEach((value, at) => {
    if (value !== 0) map[at] = label;
  });
}
