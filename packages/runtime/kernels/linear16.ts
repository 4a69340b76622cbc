// AssemblyScript. Matrix products with weights of 16 bits, which are read as they are: half of the memory traffic, and the same sums to the bit.
//
// Bits of a half, shifted to where float32 has its exponent and its fraction, are a float32 of 2⁻¹¹² times the value; a row of `x` times
// 2¹¹² makes up for it, exactly. Weights are stored 2¹⁰ times as large, so that none is subnormal (with those some processors take a
// hundred times as long) and 2¹⁰² is left for `x`.
import { panels, put } from "./linear";
import { madd, splat } from "./math";

/** Bytes of a row of a panel: 32 outputs. */
const ROW: usize = 64;
/** 2¹⁰² */
const SCALE: f32 = 5070602400912917605986812821504.0;
/** What times `SCALE` is still a float32, with a factor of 8 to spare. */
const MOST: f32 = 8388608;
/** From so many rows on it takes less time to unpack a panel once. */
const MANY: i32 = 6;

/**
 * `linear` with weights of 16 bits, for the same result to the bit.
 *
 * @param w panels `[⌈outputs/32⌉, inputs, 32]` of binary16, 2¹⁰ times as large, filled up with 0; a word of 32 bits has output `8i + j` in
 * its lower half and `8i + 4 + j` in its higher one
 * @param bias filled up to whole panels
 * @param scratch room for `inputs · 32` numbers
 * @param keep 0x8fffe000: where a float32 has its sign, and a half's exponent and fraction
 * @param lift 0x2000: 2 to the number of bits that a fraction of float32 has more. Both are arguments because constants are made anew in
 * each turn of a loop: V8 13 then takes 2.7 times as long.
 */
export function linear16(
  x: usize, rows: i32, inputs: i32, w: usize, bias: usize, y: usize, outputs: i32, then: i32, scratch: usize, keep: i32, lift: i32,
): void {
  const across = <usize>inputs << 2;
  const down = <usize>outputs << 2;
  const few = rows < MANY && scaled(x, across * <usize>rows, scratch);
  for (let left = outputs; left > 0; left -= 32) {
    if (few) {
      let from = scratch;
      let to = y;
      let r = 0;
      for (; r + 2 <= rows; r += 2) {
        two(from, across, w, bias, to, down, left, then, keep, lift);
        if (left > 16) two(from, across, w + 32, bias + 64, to + 64, down, left - 16, then, keep, lift);
        from += across << 1;
        to += down << 1;
      }
      if (r < rows) one(from, across, w, bias, to, left, then, keep, lift);
    } else {
      unpack(w, inputs, scratch, keep, lift);
      panels(x, rows, inputs, scratch, bias, y, down, min(left, 32), then);
    }
    w += <usize>inputs * ROW;
    bias += 128;
    y += 128;
  }
}

/** Copies numbers times `SCALE`; false if any is so large that it would not do. */
function scaled(x: usize, bytes: usize, to: usize): bool {
  let high = splat(0);
  let i: usize = 0;
  for (; i + 16 <= bytes; i += 16) {
    const values = v128.load(x + i);
    high = f32x4.max(high, f32x4.abs(values));
    v128.store(to + i, f32x4.mul(values, splat(SCALE)));
  }
  let largest = max(
    max(f32x4.extract_lane(high, 0), f32x4.extract_lane(high, 1)),
    max(f32x4.extract_lane(high, 2), f32x4.extract_lane(high, 3)),
  );
  for (; i < bytes; i += 4) {
    const value = load<f32>(x + i);
    largest = max(largest, abs(value));
    store<f32>(to + i, value * SCALE);
  }
  return largest < MOST;
}

/** The lower halves as float32, times 2⁻¹⁰² of what they stand for. */
@inline
function low(halves: v128, lift: v128, keep: v128): v128 {
  return v128.and(i32x4.dot_i16x8_s(halves, lift), keep);
}

/** The same of the higher ones. */
@inline
function high(halves: v128, keep: v128): v128 {
  return v128.and(i32x4.shr_s(halves, 3), keep);
}

/** A panel as two of float32, as `panels` takes them. */
function unpack(w: usize, inputs: i32, to: usize, keep: i32, lift: i32): void {
  const kept = i32x4.splat(keep);
  const lifted = i32x4.splat(lift);
  const scale = splat(SCALE);
  const second = to + (<usize>inputs << 6);
  for (let at = to; at < second; at += 64) {
    spread(v128.load(w), at, kept, lifted, scale);
    spread(v128.load(w, 16), at + 32, kept, lifted, scale);
    const further = at + (<usize>inputs << 6);
    spread(v128.load(w, 32), further, kept, lifted, scale);
    spread(v128.load(w, 48), further + 32, kept, lifted, scale);
    w += ROW;
  }
}

@inline
function spread(halves: v128, to: usize, keep: v128, lift: v128, scale: v128): void {
  v128.store(to, f32x4.mul(low(halves, lift, keep), scale));
  v128.store(to, f32x4.mul(high(halves, keep), scale), 16);
}

/** One row by 32 outputs. */
function one(x: usize, across: usize, w: usize, bias: usize, y: usize, left: i32, then: i32, keep: i32, lift: i32): void {
  const kept = i32x4.splat(keep);
  const lifted = i32x4.splat(lift);
  let a0 = v128.load(bias);
  let a1 = v128.load(bias, 16);
  let a2 = v128.load(bias, 32);
  let a3 = v128.load(bias, 48);
  let a4 = v128.load(bias, 64);
  let a5 = v128.load(bias, 80);
  let a6 = v128.load(bias, 96);
  let a7 = v128.load(bias, 112);
  for (const end = x + across; x < end; x += 4) {
    const u = v128.load_splat<f32>(x);
    let halves = v128.load(w);
    a0 = madd(u, low(halves, lifted, kept), a0);
    a1 = madd(u, high(halves, kept), a1);
    halves = v128.load(w, 16);
    a2 = madd(u, low(halves, lifted, kept), a2);
    a3 = madd(u, high(halves, kept), a3);
    halves = v128.load(w, 32);
    a4 = madd(u, low(halves, lifted, kept), a4);
    a5 = madd(u, high(halves, kept), a5);
    halves = v128.load(w, 48);
    a6 = madd(u, low(halves, lifted, kept), a6);
    a7 = madd(u, high(halves, kept), a7);
    w += ROW;
  }
  put(y, a0, left, then);
  put(y + 16, a1, left - 4, then);
  put(y + 32, a2, left - 8, then);
  put(y + 48, a3, left - 12, then);
  put(y + 64, a4, left - 16, then);
  put(y + 80, a5, left - 20, then);
  put(y + 96, a6, left - 24, then);
  put(y + 112, a7, left - 28, then);
}

/** Two rows by 16 outputs, half a panel. */
function two(
  x: usize, across: usize, w: usize, bias: usize, y: usize, down: usize, left: i32, then: i32, keep: i32, lift: i32,
): void {
  const kept = i32x4.splat(keep);
  const lifted = i32x4.splat(lift);
  let a0 = v128.load(bias);
  let a1 = v128.load(bias, 16);
  let a2 = v128.load(bias, 32);
  let a3 = v128.load(bias, 48);
  let b0 = a0;
  let b1 = a1;
  let b2 = a2;
  let b3 = a3;
  for (const end = x + across; x < end; x += 4) {
    const u = v128.load_splat<f32>(x);
    const v = v128.load_splat<f32>(x + across);
    let halves = v128.load(w);
    const w0 = low(halves, lifted, kept);
    a0 = madd(u, w0, a0);
    b0 = madd(v, w0, b0);
    const w1 = high(halves, kept);
    a1 = madd(u, w1, a1);
    b1 = madd(v, w1, b1);
    halves = v128.load(w, 16);
    const w2 = low(halves, lifted, kept);
    a2 = madd(u, w2, a2);
    b2 = madd(v, w2, b2);
    const w3 = high(halves, kept);
    a3 = madd(u, w3, a3);
    b3 = madd(v, w3, b3);
    w += ROW;
  }
  put(y, a0, left, then);
  put(y + 16, a1, left - 4, then);
  put(y + 32, a2, left - 8, then);
  put(y + 48, a3, left - 12, then);
  y += down;
  put(y, b0, left, then);
  put(y + 16, b1, left - 4, then);
  put(y + 32, b2, left - 8, then);
  put(y + 48, b3, left - 12, then);
}
