import { crestEdges } from "@iqvae/runtime";
import { noGrad, ops, scope, tensor } from "@iqvae/torch";
import { toUnitRange } from "../models/iqvae.ts";
import type { Hed } from "./hed.ts";

/** The size that pictures are brought to at least: lines that HED draws are some pixels wide, whatever the picture's size. */
const LEAST_SIDE = 256;

/**
 * Thin edges of a picture where HED sees them: outlines of things, and not the texture that `colorEdges` finds. Small
 * pictures are looked at enlarged.
 *
 * @param image RGB bytes `[size, size, 3]`
 * @returns 0 or 1 (edge) `[size, size]`
 */
export function hedEdges(hed: Hed, image: Uint8Array, size: number): Uint8Array {
  const likelihood = scope(() =>
    noGrad(() => {
      const planes = toUnitRange(tensor(image, { shape: [1, size, size, 3] }));
      const times = Math.ceil(LEAST_SIDE / size);
      if (times === 1) return hed.edges(planes).read("float32");
      const side = times * size;
      const edges = hed.edges(ops.aten.upsample_bilinear2d(planes, [side, side], false));
      return ops.aten.avg_pool2d(edges.unsqueeze(1), [times, times]).read("float32");
    }),
  );
  return crestEdges(likelihood, size);
}
