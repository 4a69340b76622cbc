import { ops, type Tensor, tensor } from "@iqvae/torch";

/** One line of the 5 × 5 binomial filter of Burt & Adelson 1983. */
const BINOMIAL = [1, 4, 6, 4, 1].map((value) => value / 16);

/**
 * The Laplacian pyramid (Burt & Adelson 1983): what each level has beyond the next coarser one, and the coarsest level itself.
 *
 * @param planes `[B, C, H, W]`; `H` and `W` divide by `2^(levels − 1)`
 * @returns `levels` tensors from fine to coarse, each half as large as the one before
 */
export function laplacianPyramid(planes: Tensor, levels: number): Tensor[] {
  const out: Tensor[] = [];
  let fine = planes;
  for (let level = 1; level < levels; level++) {
    const coarse = halve(fine);
    out.push(fine.sub(double(coarse)));
    fine = coarse;
  }
  return [...out, fine];
}

function halve(x: Tensor): Tensor {
  return blur(x, 1).slice(2, 0, null, 2).slice(3, 0, null, 2);
}

function double(x: Tensor): Tensor {
  const [B, C, H, W] = x.shape as [number, number, number, number];
  const sparse = ops.aten.zeros([B, C, 2 * H, 2 * W], { dtype: x.dtype, device: x.device });
  sparse.slice(2, 0, null, 2).slice(3, 0, null, 2).copy_(x);
  // Three pixels in four are empty.
  return blur(sparse, 4);
}

/** Beyond the border the image is mirrored at its last pixel. */
function blur(x: Tensor, gain: number): Tensor {
  const [B, C, H, W] = x.shape as [number, number, number, number];
  const line = tensor(BINOMIAL, { device: x.device }).to(x.dtype);
  const padded = ops.aten.reflection_pad2d(x.reshape([B * C, 1, H, W]), [2, 2, 2, 2]);
  const across = ops.aten.conv2d(padded, line.reshape([1, 1, 1, -1]));
  return ops.aten.conv2d(across, line.mul(gain).reshape([1, 1, -1, 1])).reshape([B, C, H, W]);
}
