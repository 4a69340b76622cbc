// AssemblyScript. Planes lie pixel by pixel: `[height, width, channels]`.
import { madd, silu, splat } from "./math";

@inline
function copy(from: usize, to: usize, bytes: usize): void {
  let i: usize = 0;
  for (; i + 16 <= bytes; i += 16) v128.store(to + i, v128.load(from + i));
  for (; i < bytes; i += 4) store<f32>(to + i, load<f32>(from + i));
}

@inline
function clear(to: usize, bytes: usize): void {
  let i: usize = 0;
  for (; i + 16 <= bytes; i += 16) v128.store(to + i, splat(0));
  for (; i < bytes; i += 4) store<f32>(to + i, 0);
}

/**
 * What a convolution looks at for one row of its outputs, ready for a matrix product: `[outWidth, kh, kw, channels]`, with 0 outside.
 * The planes may be enlarged on the way, each pixel `grow` times along an axis.
 *
 * @param x `[height, width, channels]` before they are enlarged
 * @param row number of the row of outputs
 */
export function gather(
  x: usize, to: usize, height: i32, width: i32, channels: i32, row: i32, outWidth: i32,
  kh: i32, kw: i32, sh: i32, sw: i32, ph: i32, pw: i32, growHeight: i32, growWidth: i32,
): void {
  const bytes = <usize>channels << 2;
  const tall = height * growHeight;
  const wide = width * growWidth;
  for (let column = 0; column < outWidth; column++) {
    for (let ky = 0; ky < kh; ky++) {
      const v = row * sh + ky - ph;
      const inside = v >= 0 && v < tall;
      const line = x + <usize>(v / growHeight) * <usize>width * bytes;
      for (let kx = 0; kx < kw; kx++) {
        const u = column * sw + kx - pw;
        if (inside && u >= 0 && u < wide) copy(line + <usize>(u / growWidth) * bytes, to, bytes);
        else clear(to, bytes);
        to += bytes;
      }
    }
  }
}

/**
 * Normalization over each group of channels of all pixels, then SiLU.
 *
 * @param channels a multiple of `groups` and of 4
 * @param scratch room for `2 · channels` numbers
 */
export function groupNormSilu(
  x: usize, y: usize, weight: usize, bias: usize, pixels: i32, channels: i32, groups: i32, epsilon: f32, scratch: usize,
): void {
  const bytes = <usize>channels << 2;
  const end = x + bytes * <usize>pixels;
  const each = channels / groups;
  const count = <f64>pixels * <f64>each;
  const shifts = scratch + bytes;
  for (let c: usize = 0; c < bytes; c += 16) v128.store(scratch + c, sumOf(x + c, end, bytes, splat(0), false));
  spread(scratch, groups, each, count);
  for (let c: usize = 0; c < bytes; c += 16)
    v128.store(shifts + c, sumOf(x + c, end, bytes, v128.load(scratch + c), true));
  spread(shifts, groups, each, count);
  for (let c: usize = 0; c < bytes; c += 16) {
    const root = f32x4.sqrt(f32x4.add(v128.load(shifts + c), splat(epsilon)));
    const scale = f32x4.div(v128.load(weight + c), root);
    const shift = f32x4.sub(v128.load(bias + c), f32x4.mul(v128.load(scratch + c), scale));
    v128.store(scratch + c, scale);
    v128.store(shifts + c, shift);
  }
  for (; x < end; x += bytes, y += bytes)
    for (let c: usize = 0; c < bytes; c += 16)
      v128.store(y + c, silu(madd(v128.load(x + c), v128.load(scratch + c), v128.load(shifts + c))));
}

/** Of four channels the sum over all pixels, of `x` or of `(x − mean)²`; in float64 between blocks of 64 pixels. */
function sumOf(x: usize, end: usize, stride: usize, mean: v128, squared: bool): v128 {
  let low = f64x2.splat(0);
  let high = f64x2.splat(0);
  while (x < end) {
    const stop = min(end, x + (stride << 6));
    let part = splat(0);
    for (; x < stop; x += stride) {
      const value = f32x4.sub(v128.load(x), mean);
      part = squared ? madd(value, value, part) : f32x4.add(part, value);
    }
    low = f64x2.add(low, f64x2.promote_low_f32x4(part));
    high = f64x2.add(high, f64x2.promote_low_f32x4(v128.shuffle<f32>(part, part, 2, 3, 2, 3)));
  }
  const a = f32x4.demote_f64x2_zero(low);
  const b = f32x4.demote_f64x2_zero(high);
  return v128.shuffle<f32>(a, b, 0, 1, 4, 5);
}

/** Sums of channels become the mean of their group, in place. */
function spread(sums: usize, groups: i32, each: i32, count: f64): void {
  for (let group = 0; group < groups; group++) {
    let total: f64 = 0;
    for (let i = 0; i < each; i++) total += <f64>load<f32>(sums + (<usize>i << 2));
    const mean = <f32>(total / count);
    for (let i = 0; i < each; i++) {
      store<f32>(sums, mean);
      sums += 4;
    }
  }
}
