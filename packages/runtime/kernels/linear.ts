// AssemblyScript. Matrix products with packed weights.
import { gelu, madd, splat } from "./math";

/** What is done with a product besides adding the bias. */
const GELU: i32 = 1;
const ADD: i32 = 2;

/** Bytes of a row of a panel: 16 outputs. */
const ROW: usize = 64;

/**
 * `y[r, o] = Σᵢ x[r, i]·W[o, i] + bias[o]`, followed by GELU with `then` 1; with `then` 2 it is added to what `y` holds.
 *
 * @param w panels of 16 outputs, `[⌈outputs/16⌉, inputs, 16]`, filled up with 0
 * @param bias filled up to whole panels
 * @param x `[rows, inputs]`
 * @param y `[rows, outputs]`
 */
export function linear(
  x: usize, rows: i32, inputs: i32, w: usize, bias: usize, y: usize, outputs: i32, then: i32,
): void {
  panels(x, rows, inputs, w, bias, y, <usize>outputs << 2, outputs, then);
}

/** `linear` for `left` outputs of rows that are `down` bytes apart. Each output is a sum in the order of the inputs, however many rows there are. */
export function panels(
  x: usize, rows: i32, inputs: i32, w: usize, bias: usize, y: usize, down: usize, left: i32, then: i32,
): void {
  const across = <usize>inputs << 2;
  const panel = <usize>inputs * ROW;
  for (let odd = false; left > 0; left -= 16, odd = !odd) {
    let from = x;
    let to = y;
    let r = 0;
    for (; r + 4 <= rows; r += 4) {
      four(from, across, w, bias, to, down, left, then);
      if (left > 8) four(from, across, w + 32, bias + 32, to + 32, down, left - 8, then);
      from += across << 2;
      to += down << 2;
    }
    for (; r + 2 <= rows; r += 2) {
      two(from, across, w, bias, to, down, left, then);
      from += across << 1;
      to += down << 1;
    }
    // One row takes two panels at once; of a last one without a second it stores the first half.
    if (r < rows && !odd) one(from, across, w, left > 16 ? panel : 0, bias, to, left, then);
    w += panel;
    bias += ROW;
    y += ROW;
  }
}

/** Stores four outputs, or as many as are left. */
@inline
export function put(y: usize, value: v128, left: i32, then: i32): void {
  if (left >= 4) {
    let out = value;
    if (then == GELU) out = gelu(out);
    else if (then == ADD) out = f32x4.add(out, v128.load(y));
    v128.store(y, out);
  } else putFew(y, value, left, then);
}

/** The last one to three outputs. */
function putFew(y: usize, value: v128, left: i32, then: i32): void {
  const out = then == GELU ? gelu(value) : value;
  if (left > 0) store<f32>(y, f32x4.extract_lane(out, 0) + (then == ADD ? load<f32>(y) : 0));
  if (left > 1) store<f32>(y, f32x4.extract_lane(out, 1) + (then == ADD ? load<f32>(y, 4) : 0), 4);
  if (left > 2) store<f32>(y, f32x4.extract_lane(out, 2) + (then == ADD ? load<f32>(y, 8) : 0), 8);
}

/** One row by 32 outputs of two panels, `second` bytes apart: enough sums that additions need not wait for one another. */
function one(x: usize, across: usize, w: usize, second: usize, bias: usize, y: usize, left: i32, then: i32): void {
  const further = second > 0 ? <usize>64 : 0;
  let a0 = v128.load(bias);
  let a1 = v128.load(bias, 16);
  let a2 = v128.load(bias, 32);
  let a3 = v128.load(bias, 48);
  let b0 = v128.load(bias + further);
  let b1 = v128.load(bias + further, 16);
  let b2 = v128.load(bias + further, 32);
  let b3 = v128.load(bias + further, 48);
  for (const end = x + across; x < end; x += 4) {
    const u = v128.load_splat<f32>(x);
    a0 = madd(u, v128.load(w), a0);
    a1 = madd(u, v128.load(w, 16), a1);
    a2 = madd(u, v128.load(w, 32), a2);
    a3 = madd(u, v128.load(w, 48), a3);
    const v = w + second;
    b0 = madd(u, v128.load(v), b0);
    b1 = madd(u, v128.load(v, 16), b1);
    b2 = madd(u, v128.load(v, 32), b2);
    b3 = madd(u, v128.load(v, 48), b3);
    w += ROW;
  }
  put(y, a0, left, then);
  put(y + 16, a1, left - 4, then);
  put(y + 32, a2, left - 8, then);
  put(y + 48, a3, left - 12, then);
  put(y + 64, b0, left - 16, then);
  put(y + 80, b1, left - 20, then);
  put(y + 96, b2, left - 24, then);
  put(y + 112, b3, left - 28, then);
}

/** Two rows by 16 outputs. */
function two(x: usize, across: usize, w: usize, bias: usize, y: usize, down: usize, left: i32, then: i32): void {
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
    const w0 = v128.load(w);
    a0 = madd(u, w0, a0);
    b0 = madd(v, w0, b0);
    const w1 = v128.load(w, 16);
    a1 = madd(u, w1, a1);
    b1 = madd(v, w1, b1);
    const w2 = v128.load(w, 32);
    a2 = madd(u, w2, a2);
    b2 = madd(v, w2, b2);
    const w3 = v128.load(w, 48);
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

/** Four rows by 8 outputs, half a panel. */
function four(x: usize, across: usize, w: usize, bias: usize, y: usize, down: usize, left: i32, then: i32): void {
  let a0 = v128.load(bias);
  let a1 = v128.load(bias, 16);
  let b0 = a0;
  let b1 = a1;
  let c0 = a0;
  let c1 = a1;
  let d0 = a0;
  let d1 = a1;
  const second = x + across;
  const third = second + across;
  const fourth = third + across;
  for (let i: usize = 0; i < across; i += 4) {
    const w0 = v128.load(w);
    const w1 = v128.load(w, 16);
    let u = v128.load_splat<f32>(x + i);
    a0 = madd(u, w0, a0);
    a1 = madd(u, w1, a1);
    u = v128.load_splat<f32>(second + i);
    b0 = madd(u, w0, b0);
    b1 = madd(u, w1, b1);
    u = v128.load_splat<f32>(third + i);
    c0 = madd(u, w0, c0);
    c1 = madd(u, w1, c1);
    u = v128.load_splat<f32>(fourth + i);
    d0 = madd(u, w0, d0);
    d1 = madd(u, w1, d1);
    w += ROW;
  }
  put(y, a0, left, then);
  put(y + 16, a1, left - 4, then);
  y += down;
  put(y, b0, left, then);
  put(y + 16, b1, left - 4, then);
  y += down;
  put(y, c0, left, then);
  put(y + 16, c1, left - 4, then);
  y += down;
  put(y, d0, left, then);
  put(y + 16, d1, left - 4, then);
}
