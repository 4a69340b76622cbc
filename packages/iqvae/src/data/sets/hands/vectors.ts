/** A point or a direction in space. */
export type Vec3 = readonly [number, number, number];

export const add = (a: Vec3, b: Vec3): Vec3 => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
export const subtract = (a: Vec3, b: Vec3): Vec3 => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
export const scale = (a: Vec3, by: number): Vec3 => [a[0] * by, a[1] * by, a[2] * by];
export const dot = (a: Vec3, b: Vec3): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const unit = (a: Vec3): Vec3 => scale(a, 1 / Math.hypot(...a));

export function cross(a: Vec3, b: Vec3): Vec3 {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

/** A rigid motion `x ↦ R x + t`; the rows of `R` one after the other. */
export interface Motion {
  readonly rows: readonly [Vec3, Vec3, Vec3];
  readonly shift: Vec3;
}

export const STILL: Motion = {
  rows: [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  shift: [0, 0, 0],
};

/** `R a`: for directions. */
export function turn({ rows }: Motion, a: Vec3): Vec3 {
  return [dot(rows[0], a), dot(rows[1], a), dot(rows[2], a)];
}

/** `R a + t`: for points. */
export function move(motion: Motion, a: Vec3): Vec3 {
  return add(turn(motion, a), motion.shift);
}

/** First `inner`, then `outer`. */
export function compose(outer: Motion, inner: Motion): Motion {
  const column = (j: number): Vec3 => turn(outer, [inner.rows[0][j]!, inner.rows[1][j]!, inner.rows[2][j]!]);
  const [x, y, z] = [column(0), column(1), column(2)];
  return {
    rows: [
      [x[0], y[0], z[0]],
      [x[1], y[1], z[1]],
      [x[2], y[2], z[2]],
    ],
    shift: move(outer, inner.shift),
  };
}

/** A rotation by `angle` radians about an axis through `pivot` (Rodrigues). */
export function rotation(axis: Vec3, angle: number, pivot: Vec3 = [0, 0, 0]): Motion {
  const [x, y, z] = unit(axis);
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  const k = 1 - c;
  const rows: Motion["rows"] = [
    [c + x * x * k, x * y * k - z * s, x * z * k + y * s],
    [y * x * k + z * s, c + y * y * k, y * z * k - x * s],
    [z * x * k - y * s, z * y * k + x * s, c + z * z * k],
  ];
  return { rows, shift: subtract(pivot, turn({ rows, shift: [0, 0, 0] }, pivot)) };
}
