import { ops, type Tensor } from "@iqvae/torch";

/** One line of the 5 × 5 binomial filter of Burt & Adelson 1983. */
const BINOMIAL = [1, 4, 6, 4, 1].map((value) => value / 16);

/**
 * One level of the Laplacian pyramid (Burt & Adelson 1983): what an image, halved `level` times, has beyond the next coarser
 * one. The coarsest level is the halved image itself.
 *
 * @param planes `[B, C, H, W]`, contiguous; `H` and `W` divide by `2^(levels − 1)`
 * @param level 0 (fine) to `levels − 1`
 * @returns `[B, C, H / 2^level, W / 2^level]`
 */
export function laplacianLevel(planes: Tensor, level: number, levels: number): Tensor {
  let fine = planes;
  for (let i = 0; i < level; i++) fine = halve(fine);
  return level === levels - 1 ? fine : fine.sub(double(halve(fine)));
}

function halve(x: Tensor): Tensor {
  return blur(x, 1).slice(2, 0, null, 2).slice(3, 0, null, 2).contiguous();
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
  const padded = ops.aten.reflection_pad2d(x, [2, 2, 2, 2]);
  return weighted(weighted(padded, 3, 1), 2, gain);
}

/** The binomial mean along a dimension. As shifted sums: a convolution of single channels is several times slower. */
function weighted(x: Tensor, dim: number, gain: number): Tensor {
  const length = x.shape[dim]! - BINOMIAL.length + 1;
  const shifted = (i: number) => x.slice(dim, i, i + length);
  const sum = shifted(0).mul(gain * BINOMIAL[0]!);
  for (let i = 1; i < BINOMIAL.length; i++) sum.add_(shifted(i), { alpha: gain * BINOMIAL[i]! });
  return sum;
}
