import { ops, scope, type Tensor, tensor } from "@iqvae/torch";

/** Largest value of a pixel. */
const RANGE = 255;

/**
 * Peak signal-to-noise ratio of each image in decibels: `10·log₁₀(255² / MSE)`; infinite where the images are equal.
 *
 * @param a pixels uint8 `[B, H, W, 3]`
 * @param b of the same shape
 * @returns float64 `[B]`
 */
export function psnr(a: Tensor, b: Tensor): Tensor {
  expectAlike("psnr", a, b);
  return scope(() => {
    const error = a.to("float64").sub(b.to("float64")).square().mean([1, 2, 3]);
    return error
      .reciprocal()
      .mul(RANGE ** 2)
      .log10()
      .mul(10);
  });
}

/**
 * The largest finite PSNR of images of a shape, in decibels: a single value is off by one. Means count equal images with it,
 * since one infinity would make the mean infinite.
 *
 * @param shape `[B, H, W, 3]`
 */
export function largestPsnr([, H, W, C]: readonly number[]): number {
  return 10 * Math.log10(RANGE ** 2 * H! * W! * C!);
}

/** Width of the Gaussian window, its radius, and the constants that keep the fractions stable (Wang et al. 2004, § III). */
const SIGMA = 1.5;
const RADIUS = 5;
const K1 = 0.01;
const K2 = 0.03;

/**
 * Structural similarity of each image (Wang et al. 2004, eq. 13) with an 11 × 11 Gaussian window: mean over channels and over
 * the positions where the window lies inside the image.
 *
 * @param a pixels uint8 `[B, H, W, 3]`, at least 11 × 11
 * @param b of the same shape
 * @returns float64 `[B]` in [−1, 1], 1 where the images are equal
 */
export function ssim(a: Tensor, b: Tensor): Tensor {
  expectAlike("ssim", a, b);
  const [, H, W] = a.shape as [number, number, number];
  const window = 2 * RADIUS + 1;
  if (Math.min(H, W) < window)
    throw new RangeError(`ssim takes images of at least ${window} × ${window} pixels, but got ${a}.`);
  return scope(() => {
    const [x, y] = [a, b].map((image) => image.to("float64").permute([0, 3, 1, 2])) as [Tensor, Tensor];
    const blur = gaussianBlur();
    const [mx, my] = [blur(x), blur(y)];
    const vx = blur(x.square()).sub(mx.square());
    const vy = blur(y.square()).sub(my.square());
    const covariance = blur(x.mul(y)).sub(mx.mul(my));
    const [c1, c2] = [(K1 * RANGE) ** 2, (K2 * RANGE) ** 2];
    const likeness = mx.mul(my).mul(2).add(c1).mul(covariance.mul(2).add(c2));
    const scale = mx.square().add(my.square()).add(c1).mul(vx.add(vy).add(c2));
    return likeness.div(scale).mean([1, 2, 3]);
  });
}

/** Weights every channel of `[B, 3, H, W]` with the window, where it fits. */
function gaussianBlur(): (planes: Tensor) => Tensor {
  const raw = Array.from({ length: 2 * RADIUS + 1 }, (_, i) => Math.exp(-((i - RADIUS) ** 2) / (2 * SIGMA ** 2)));
  const sum = raw.reduce((total, value) => total + value, 0);
  const line = tensor(
    raw.map((value) => value / sum),
    { dtype: "float64" },
  );
  const across = line.reshape([1, 1, 1, -1]);
  const down = line.reshape([1, 1, -1, 1]);
  return (planes) => {
    const [B, C, H, W] = planes.shape as [number, number, number, number];
    const out = ops.aten.conv2d(ops.aten.conv2d(planes.reshape([B * C, 1, H, W]), across), down);
    return out.reshape([B, C, H - 2 * RADIUS, W - 2 * RADIUS]);
  };
}

function expectAlike(name: string, a: Tensor, b: Tensor): void {
  if (
    a.ndim !== 4 ||
    a.shape[3] !== 3 ||
    a.shape.join() !== b.shape.join() ||
    a.dtype !== "uint8" ||
    b.dtype !== "uint8"
  )
    throw new RangeError(`${name} takes two batches of pixels, uint8 [B, H, W, 3], but got ${a} and ${b}.`);
}
