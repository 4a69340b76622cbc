// AssemblyScript. What all kernels share: pointers are byte addresses in the one memory, vectors have four float32.

/** `a·b + c`; with relaxed SIMD in one instruction where the processor has it. */
@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  return ASC_FEATURE_RELAXED_SIMD ? f32x4.relaxed_madd(a, b, c) : f32x4.add(f32x4.mul(a, b), c);
}

@inline
export function splat(x: f32): v128 {
  return f32x4.splat(x);
}

/** The sum of the four. */
@inline
export function sum(x: v128): f32 {
  const pairs = f32x4.add(x, v128.shuffle<f32>(x, x, 2, 3, 0, 1));
  return f32x4.extract_lane(pairs, 0) + f32x4.extract_lane(pairs, 1);
}

/**
 * eˣ within 2 units in the last place: `2ⁿ·eʳ` with `|r| ≤ ½ ln 2` and a polynomial for `eʳ` (Taylor's, to the seventh power). Below −87 it
 * stays at e⁻⁸⁷, which is next to nothing, and above 88 at e⁸⁸.
 */
@inline
export function exp(x: v128): v128 {
  const held = f32x4.min(f32x4.max(x, splat(-87)), splat(88));
  const n = f32x4.nearest(f32x4.mul(held, splat(1.44269504)));
  // ln 2 in two parts, the first of few digits, so that n times it is exact.
  const r = f32x4.sub(f32x4.sub(held, f32x4.mul(n, splat(0.693359375))), f32x4.mul(n, splat(-2.12194440e-4)));
  let y = splat(1.0 / 5040);
  y = madd(y, r, splat(1.0 / 720));
  y = madd(y, r, splat(1.0 / 120));
  y = madd(y, r, splat(1.0 / 24));
  y = madd(y, r, splat(1.0 / 6));
  y = madd(y, r, splat(0.5));
  y = madd(y, r, splat(1));
  y = madd(y, r, splat(1));
  const power = i32x4.shl(i32x4.add(i32x4.trunc_sat_f32x4_s(n), i32x4.splat(127)), 23);
  return f32x4.mul(y, power);
}

/** `x·Φ(x)`, with the error function within 1.5e-7 (Abramowitz & Stegun 1964, 7.1.26). */
export function gelu(x: v128): v128 {
  const z = f32x4.mul(f32x4.abs(x), splat(0.70710678));
  const t = f32x4.div(splat(1), madd(z, splat(0.3275911), splat(1)));
  let y = splat(1.061405429);
  y = madd(y, t, splat(-1.453152027));
  y = madd(y, t, splat(1.421413741));
  y = madd(y, t, splat(-0.284496736));
  y = madd(y, t, splat(0.254829592));
  const rest = f32x4.mul(f32x4.mul(y, t), exp(f32x4.neg(f32x4.mul(z, z)))); // 1 − erf(z)
  const half = f32x4.mul(splat(0.5), rest); // Φ(−|x|)
  const phi = v128.bitselect(half, f32x4.sub(splat(1), half), f32x4.lt(x, splat(0)));
  return f32x4.mul(x, phi);
}

/** `x / (1 + e⁻ˣ)` */
@inline
export function silu(x: v128): v128 {
  return f32x4.div(x, f32x4.add(splat(1), exp(f32x4.neg(x))));
}
