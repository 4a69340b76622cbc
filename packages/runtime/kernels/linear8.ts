// AssemblyScript. Matrix products with weights of 8 bits, which are read as they are: a quarter of the memory traffic.
import { put } from "./linear";
import { splat } from "./math";

/** Bytes of two inputs by 16 outputs. */
const ROW: usize = 32;

/**
 * `linear` with weights `scales[o] · W[o, i]`, `W` of 8 bits. Each row of `x` is rounded to whole numbers of 16 bits, or as many less as
 * keep all sums below 2³¹; products and sums are exact from there on.
 *
 * @param w panels `[⌈outputs/16⌉, ⌈inputs/2⌉, 16, 2]`, filled up with 0
 * @param scales filled up to whole panels, as `bias`
 * @param most the largest number that `x` may be rounded to
 * @param scratch room for `rows · ⌈inputs/8⌉ · 8` numbers of 16 bits, and for `rows` of 32
 */
export function linear8(
  x: usize, rows: i32, inputs: i32, w: usize, scales: usize, bias: usize, y: usize, outputs: i32, then: i32, most: i32,
  scratch: usize,
): void {
  const across = <usize>((inputs + 7) & ~7) << 1;
  const down = <usize>outputs << 2;
  const pairs = (inputs + 1) >> 1;
  const steps = scratch + across * <usize>rows;
  for (let r = 0; r < rows; r++)
    store<f32>(steps + (<usize>r << 2), round(x + <usize>r * (<usize>inputs << 2), inputs, scratch + across * <usize>r, most));
  for (let first = 0; first < outputs; first += 16) {
    const left = outputs - first;
    let from = scratch;
    let step = steps;
    let to = y + (<usize>first << 2);
    let r = 0;
    for (; r + 2 <= rows; r += 2) {
      two(from, across, pairs, w, scales, bias, to, down, left, then, step);
      from += across << 1;
      to += down << 1;
      step += 8;
    }
    if (r < rows) one(from, pairs, w, scales, bias, to, left, then, step);
    w += <usize>pairs * ROW;
    scales += 64;
    bias += 64;
  }
}

/** Rounds a row, filled up with 0; gives what one step stands for. */
function round(x: usize, inputs: i32, to: usize, most: i32): f32 {
  const bytes = <usize>inputs << 2;
  const whole = bytes & ~15;
  let high = splat(0);
  let i: usize = 0;
  for (; i < whole; i += 16) high = f32x4.max(high, f32x4.abs(v128.load(x + i)));
  let largest = max(
    max(f32x4.extract_lane(high, 0), f32x4.extract_lane(high, 1)),
    max(f32x4.extract_lane(high, 2), f32x4.extract_lane(high, 3)),
  );
  for (; i < bytes; i += 4) largest = max(largest, abs(load<f32>(x + i)));
  const factor: f32 = largest > 0 ? <f32>most / largest : 0;
  for (i = 0; i < whole; i += 16) {
    const rounded = i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(x + i), splat(factor))));
    v128.store64_lane(to + (i >> 1), i16x8.narrow_i32x4_s(rounded, rounded), 0);
  }
  for (; i < bytes; i += 4) store<i16>(to + (i >> 1), <i16>nearest(load<f32>(x + i) * factor));
  for (const end = (bytes + 31) & ~31; i < end; i += 4) store<i16>(to + (i >> 1), 0);
  return largest / <f32>most;
}

@inline
function finish(y: usize, sums: v128, step: v128, scales: usize, bias: usize, left: i32, then: i32): void {
  const scale = f32x4.mul(v128.load(scales), step);
  put(y, f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(sums), scale), v128.load(bias)), left, then);
}

/** One row by 16 outputs. */
function one(
  x: usize, pairs: i32, w: usize, scales: usize, bias: usize, y: usize, left: i32, then: i32, step: usize,
): void {
  let a0 = i32x4.splat(0);
  let a1 = a0;
  let a2 = a0;
  let a3 = a0;
  for (const end = x + (<usize>pairs << 2); x < end; x += 4) {
    const u = v128.load_splat<i32>(x);
    const low = v128.load(w);
    a0 = i32x4.add(a0, i32x4.dot_i16x8_s(u, i16x8.extend_low_i8x16_s(low)));
    a1 = i32x4.add(a1, i32x4.dot_i16x8_s(u, i16x8.extend_high_i8x16_s(low)));
    const high = v128.load(w, 16);
    a2 = i32x4.add(a2, i32x4.dot_i16x8_s(u, i16x8.extend_low_i8x16_s(high)));
    a3 = i32x4.add(a3, i32x4.dot_i16x8_s(u, i16x8.extend_high_i8x16_s(high)));
    w += ROW;
  }
  const s = v128.load_splat<f32>(step);
  finish(y, a0, s, scales, bias, left, then);
  finish(y + 16, a1, s, scales + 16, bias + 16, left - 4, then);
  finish(y + 32, a2, s, scales + 32, bias + 32, left - 8, then);
  finish(y + 48, a3, s, scales + 48, bias + 48, left - 12, then);
}

/** Two rows by 16 outputs. */
function two(
  x: usize, across: usize, pairs: i32, w: usize, scales: usize, bias: usize, y: usize, down: usize, left: i32, then: i32,
  step: usize,
): void {
  let a0 = i32x4.splat(0);
  let a1 = a0;
  let a2 = a0;
  let a3 = a0;
  let b0 = a0;
  let b1 = a0;
  let b2 = a0;
  let b3 = a0;
  for (const end = x + (<usize>pairs << 2); x < end; x += 4) {
    const u = v128.load_splat<i32>(x);
    const v = v128.load_splat<i32>(x + across);
    const low = v128.load(w);
    const w0 = i16x8.extend_low_i8x16_s(low);
    a0 = i32x4.add(a0, i32x4.dot_i16x8_s(u, w0));
    b0 = i32x4.add(b0, i32x4.dot_i16x8_s(v, w0));
    const w1 = i16x8.extend_high_i8x16_s(low);
    a1 = i32x4.add(a1, i32x4.dot_i16x8_s(u, w1));
    b1 = i32x4.add(b1, i32x4.dot_i16x8_s(v, w1));
    const high = v128.load(w, 16);
    const w2 = i16x8.extend_low_i8x16_s(high);
    a2 = i32x4.add(a2, i32x4.dot_i16x8_s(u, w2));
    b2 = i32x4.add(b2, i32x4.dot_i16x8_s(v, w2));
    const w3 = i16x8.extend_high_i8x16_s(high);
    a3 = i32x4.add(a3, i32x4.dot_i16x8_s(u, w3));
    b3 = i32x4.add(b3, i32x4.dot_i16x8_s(v, w3));
    w += ROW;
  }
  let s = v128.load_splat<f32>(step);
  finish(y, a0, s, scales, bias, left, then);
  finish(y + 16, a1, s, scales + 16, bias + 16, left - 4, then);
  finish(y + 32, a2, s, scales + 32, bias + 32, left - 8, then);
  finish(y + 48, a3, s, scales + 48, bias + 48, left - 12, then);
  y += down;
  s = v128.load_splat<f32>(step, 4);
  finish(y, b0, s, scales, bias, left, then);
  finish(y + 16, b1, s, scales + 16, bias + 16, left - 4, then);
  finish(y + 32, b2, s, scales + 32, bias + 32, left - 8, then);
  finish(y + 48, b3, s, scales + 48, bias + 48, left - 12, then);
}
