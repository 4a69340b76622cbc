// AssemblyScript. Attention of one query, and normalization over the features of a token.
import { exp, madd, splat, sum } from "./math";

/** The product of two vectors of `bytes / 4` numbers. */
@inline
function dot(a: usize, b: usize, bytes: usize): f32 {
  let total = splat(0);
  let i: usize = 0;
  for (; i + 16 <= bytes; i += 16) total = madd(v128.load(a + i), v128.load(b + i), total);
  let rest = sum(total);
  for (; i < bytes; i += 4) rest += load<f32>(a + i) * load<f32>(b + i);
  return rest;
}

/** The products of a vector with four others, one after the other, with sums in the order of `dot`. */
@inline
function dots(a: usize, b: usize, bytes: usize): v128 {
  let t0 = splat(0);
  let t1 = t0;
  let t2 = t0;
  let t3 = t0;
  const second = b + bytes;
  const third = second + bytes;
  const fourth = third + bytes;
  for (let i: usize = 0; i < bytes; i += 16) {
    const x = v128.load(a + i);
    t0 = madd(x, v128.load(b + i), t0);
    t1 = madd(x, v128.load(second + i), t1);
    t2 = madd(x, v128.load(third + i), t2);
    t3 = madd(x, v128.load(fourth + i), t3);
  }
  const low = f32x4.add(v128.shuffle<f32>(t0, t1, 0, 1, 4, 5), v128.shuffle<f32>(t0, t1, 2, 3, 6, 7));
  const high = f32x4.add(v128.shuffle<f32>(t2, t3, 0, 1, 4, 5), v128.shuffle<f32>(t2, t3, 2, 3, 6, 7));
  return f32x4.add(v128.shuffle<f32>(low, high, 0, 2, 4, 6), v128.shuffle<f32>(low, high, 1, 3, 5, 7));
}

/** Products of the query with keys, times the scale, to `scores`; gives the largest of them and of `most`. */
function score(q: usize, k: usize, n: i32, bytes: usize, scale: f32, scores: usize, most: f32): f32 {
  let j = 0;
  if ((bytes & 15) == 0) {
    let high = splat(most);
    for (; j + 4 <= n; j += 4) {
      const values = f32x4.mul(dots(q, k, bytes), splat(scale));
      v128.store(scores, values);
      high = f32x4.max(high, values);
      k += bytes << 2;
      scores += 16;
    }
    most = max(
      max(f32x4.extract_lane(high, 0), f32x4.extract_lane(high, 1)),
      max(f32x4.extract_lane(high, 2), f32x4.extract_lane(high, 3)),
    );
  }
  for (; j < n; j++) {
    const value = dot(q, k, bytes) * scale;
    store<f32>(scores, value);
    most = max(most, value);
    k += bytes;
    scores += 4;
  }
  return most;
}

/** Adds values, each times its weight, to the 16 numbers at `out`. */
function mixWide(out: usize, v: usize, n: i32, stride: usize, weights: usize): void {
  let a0 = v128.load(out);
  let a1 = v128.load(out, 16);
  let a2 = v128.load(out, 32);
  let a3 = v128.load(out, 48);
  let b0 = splat(0);
  let b1 = b0;
  let b2 = b0;
  let b3 = b0;
  let j = 0;
  for (; j + 2 <= n; j += 2) {
    const p = v128.load_splat<f32>(weights);
    a0 = madd(p, v128.load(v), a0);
    a1 = madd(p, v128.load(v, 16), a1);
    a2 = madd(p, v128.load(v, 32), a2);
    a3 = madd(p, v128.load(v, 48), a3);
    v += stride;
    const q = v128.load_splat<f32>(weights, 4);
    b0 = madd(q, v128.load(v), b0);
    b1 = madd(q, v128.load(v, 16), b1);
    b2 = madd(q, v128.load(v, 32), b2);
    b3 = madd(q, v128.load(v, 48), b3);
    v += stride;
    weights += 8;
  }
  if (j < n) {
    const p = v128.load_splat<f32>(weights);
    a0 = madd(p, v128.load(v), a0);
    a1 = madd(p, v128.load(v, 16), a1);
    a2 = madd(p, v128.load(v, 32), a2);
    a3 = madd(p, v128.load(v, 48), a3);
  }
  v128.store(out, f32x4.add(a0, b0));
  v128.store(out, f32x4.add(a1, b1), 16);
  v128.store(out, f32x4.add(a2, b2), 32);
  v128.store(out, f32x4.add(a3, b3), 48);
}

/** Adds values, each times its weight, to the four (or fewer) numbers at `out`. */
function mix(out: usize, v: usize, n: i32, stride: usize, weights: usize, lanes: i32): void {
  if (lanes >= 4) {
    let a = v128.load(out);
    let b = splat(0);
    let j = 0;
    for (; j + 2 <= n; j += 2) {
      a = madd(v128.load_splat<f32>(weights), v128.load(v), a);
      b = madd(v128.load_splat<f32>(weights, 4), v128.load(v + stride), b);
      v += stride << 1;
      weights += 8;
    }
    if (j < n) a = madd(v128.load_splat<f32>(weights), v128.load(v), a);
    v128.store(out, f32x4.add(a, b));
    return;
  }
  for (let j = 0; j < n; j++) {
    for (let lane: usize = 0; lane < <usize>lanes << 2; lane += 4)
      store<f32>(out + lane, load<f32>(out + lane) + load<f32>(weights) * load<f32>(v + lane));
    v += stride;
    weights += 4;
  }
}

/**
 * One query attends to `n1` positions and then to `n2` others, in all heads.
 *
 * @param q, out `[heads · depth]`
 * @param k1, v1, k2, v2 rows of `depth` numbers, head after head: `[heads, …, depth]`, so that what a head reads lies together
 * @param across1, across2 bytes from one head's rows to the next one's
 * @param scores room for `n1 + n2` numbers and three more
 */
export function attend(
  q: usize, out: usize, k1: usize, v1: usize, n1: i32, across1: usize, k2: usize, v2: usize, n2: i32, across2: usize,
  heads: i32, depth: i32, scores: usize,
): void {
  const n = n1 + n2;
  const bytes = <usize>depth << 2;
  const scale: f32 = <f32>1 / sqrt<f32>(<f32>depth);
  const second = scores + (<usize>n1 << 2);
  const end = scores + (<usize>n << 2);
  for (let head = 0; head < heads; head++) {
    let most = score(q, k1, n1, bytes, scale, scores, -Infinity as f32);
    most = score(q, k2, n2, bytes, scale, second, most);
    // What stands behind the last is −∞ as good as, and adds nothing.
    v128.store(end, splat(-1e30));
    let total = splat(0);
    for (let at = scores; at < end; at += 16) {
      const difference = f32x4.sub(v128.load(at), splat(most));
      const weight = v128.bitselect(exp(difference), splat(0), f32x4.gt(difference, splat(-87)));
      v128.store(at, weight);
      total = f32x4.add(total, weight);
    }
    const share = splat(<f32>1 / sum(total));
    for (let at = scores; at < end; at += 16) v128.store(at, f32x4.mul(v128.load(at), share));
    let i = 0;
    for (; i + 16 <= depth; i += 16) {
      const at = <usize>i << 2;
      for (let lane: usize = 0; lane < 64; lane += 16) v128.store(out + at + lane, splat(0));
      mixWide(out + at, v1 + at, n1, bytes, scores);
      mixWide(out + at, v2 + at, n2, bytes, second);
    }
    for (; i < depth; i += 4) {
      const at = <usize>i << 2;
      const lanes = min(4, depth - i);
      for (let lane = 0; lane < lanes; lane++) store<f32>(out + at + (<usize>lane << 2), 0);
      mix(out + at, v1 + at, n1, bytes, scores, lanes);
      mix(out + at, v2 + at, n2, bytes, second, lanes);
    }
    q += bytes;
    out += bytes;
    k1 += across1;
    k2 += across2;
    v1 += across1;
    v2 += across2;
  }
}

/**
 * Puts the key and the value of one token where `attend` looks for them.
 *
 * @param kv `[2, heads, depth]`
 * @param keys, values where the first head's go; those of the next one go `across` bytes further on
 */
export function remember(kv: usize, keys: usize, values: usize, across: usize, heads: i32, depth: i32): void {
  const bytes = <usize>depth << 2;
  const width = bytes * <usize>heads;
  for (let head = 0; head < heads; head++) {
    memory.copy(keys, kv, bytes);
    memory.copy(values, kv + width, bytes);
    kv += bytes;
    keys += across;
    values += across;
  }
}

/** `y = (x − mean) / √(variance + ε) · weight + bias` over each row `[rows, width]`. */
export function layerNorm(x: usize, y: usize, weight: usize, bias: usize, rows: i32, width: i32, epsilon: f32): void {
  const bytes = <usize>width << 2;
  const whole = bytes & ~15;
  for (let r = 0; r < rows; r++) {
    let total = splat(0);
    let i: usize = 0;
    for (; i < whole; i += 16) total = f32x4.add(total, v128.load(x + i));
    let mean = sum(total);
    for (; i < bytes; i += 4) mean += load<f32>(x + i);
    mean /= <f32>width;
    let squares = splat(0);
    for (i = 0; i < whole; i += 16) {
      const difference = f32x4.sub(v128.load(x + i), splat(mean));
      squares = madd(difference, difference, squares);
    }
    let variance = sum(squares);
    for (; i < bytes; i += 4) variance += (load<f32>(x + i) - mean) * (load<f32>(x + i) - mean);
    const scale: f32 = <f32>1 / sqrt<f32>(variance / <f32>width + epsilon);
    for (i = 0; i < whole; i += 16) {
      const unit = f32x4.mul(f32x4.sub(v128.load(x + i), splat(mean)), splat(scale));
      v128.store(y + i, madd(unit, v128.load(weight + i), v128.load(bias + i)));
    }
    for (; i < bytes; i += 4)
      store<f32>(y + i, (load<f32>(x + i) - mean) * scale * load<f32>(weight + i) + load<f32>(bias + i));
    x += bytes;
    y += bytes;
  }
}
