/** Below `LOW` a change of color is no edge; at `HIGH` it starts one. RGB distance over two pixels, 0 … 441. */
const LOW = 22;
const HIGH = 44;

/**
 * Thin edges of a color image: Canny's detector (IEEE PAMI 8(6), 1986) on the color gradient of Di Zenzo (CVGIP 33(1),
 * 1986), so that an edge between two colors of equal brightness counts.
 *
 * @param image RGB bytes `[size, size, 3]`
 * @returns 0 or 1 (edge) `[size, size]`
 */
export function colorEdges(image: Uint8Array, size: number): Uint8Array {
  const { magnitude, dx, dy } = colorGradient(smooth(image, size), size);
  return hysteresis(ridges({ magnitude, dx, dy }, size, LOW), size, HIGH);
}

/** Below the first a likelihood is no edge; at the second it starts one. Chosen by eye on photographs. */
const LIKELY = { low: 0.2, high: 0.5 };

/**
 * Thin edges of a map of how likely each pixel is one, such as HED gives: its crests, connected as {@link colorEdges} connects.
 *
 * @param likelihood `[size, size]` in [0, 1]
 * @returns 0 or 1 (edge) `[size, size]`
 */
export function crestEdges(likelihood: Float32Array, size: number): Uint8Array {
  const directions = acrossCrests(likelihood, size);
  return hysteresis(ridges({ magnitude: likelihood, ...directions }, size, LIKELY.low), size, LIKELY.high);
}

/** Across a crest a map bends down the most: the eigenvector of its second derivatives with the lowest eigenvalue. */
function acrossCrests(map: Float32Array, size: number): Pick<Gradient, "dx" | "dy"> {
  const within = (i: number) => Math.min(Math.max(i, 0), size - 1);
  const at = (x: number, y: number) => map[within(y) * size + within(x)]!;
  const dx = new Float32Array(map.length);
  const dy = new Float32Array(map.length);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      // Over two pixels, since crests are wide, and single pixels bend any way.
      const xx = at(x + 2, y) - 2 * at(x, y) + at(x - 2, y);
      const yy = at(x, y + 2) - 2 * at(x, y) + at(x, y - 2);
      const xy = (at(x + 2, y + 2) - at(x - 2, y + 2) - at(x + 2, y - 2) + at(x - 2, y - 2)) / 4;
      const angle = Math.atan2(-2 * xy, yy - xx) / 2;
      dx[y * size + x] = Math.cos(angle);
      dy[y * size + x] = Math.sin(angle);
    }
  }
  return { dx, dy };
}

/** A binomial 3 × 3 blur: enough for drawings, which have no noise, and it keeps neighboring lines apart. */
function smooth(image: Uint8Array, size: number): Float32Array {
  const last = size - 1;
  const rows = new Float32Array(image.length);
  const out = new Float32Array(image.length);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const [left, here, right] = [y * size + Math.max(x - 1, 0), y * size + x, y * size + Math.min(x + 1, last)];
      for (let c = 0; c < 3; c++) {
        rows[3 * here + c] = (image[3 * left + c]! + 2 * image[3 * here + c]! + image[3 * right + c]!) / 4;
      }
    }
  }
  for (let y = 0; y < size; y++) {
    const [above, below] = [Math.max(y - 1, 0) * size, Math.min(y + 1, last) * size];
    for (let x = 0; x < size; x++) {
      for (let c = 0; c < 3; c++) {
        const at = 3 * (y * size + x) + c;
        out[at] = (rows[3 * (above + x) + c]! + 2 * rows[at]! + rows[3 * (below + x) + c]!) / 4;
      }
    }
  }
  return out;
}

interface Gradient {
  readonly magnitude: Float32Array;
  /** Unit vector across the edge. */
  readonly dx: Float32Array;
  readonly dy: Float32Array;
}

/** The direction in which the color changes most, and by how much: the larger eigenvalue of the structure tensor. */
function colorGradient(image: Float32Array, size: number): Gradient {
  const magnitude = new Float32Array(size * size);
  const dx = new Float32Array(size * size);
  const dy = new Float32Array(size * size);
  const last = size - 1;
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const left = 3 * (y * size + Math.max(x - 1, 0));
      const right = 3 * (y * size + Math.min(x + 1, last));
      const above = 3 * (Math.max(y - 1, 0) * size + x);
      const below = 3 * (Math.min(y + 1, last) * size + x);
      let [xx, xy, yy] = [0, 0, 0];
      for (let c = 0; c < 3; c++) {
        const gx = image[right + c]! - image[left + c]!;
        const gy = image[below + c]! - image[above + c]!;
        xx += gx * gx;
        xy += gx * gy;
        yy += gy * gy;
      }
      const at = y * size + x;
      const spread = Math.hypot(xx - yy, 2 * xy);
      magnitude[at] = Math.sqrt((xx + yy + spread) / 2);
      const angle = Math.atan2(2 * xy, xx - yy) / 2;
      dx[at] = Math.cos(angle);
      dy[at] = Math.sin(angle);
    }
  }
  return { magnitude, dx, dy };
}

/** Keeps a pixel only if its gradient is the largest across the edge, compared with interpolated neighbors. */
function ridges({ magnitude, dx, dy }: Gradient, size: number, low: number): Float32Array {
  const valueAt = (x: number, y: number) => (x < 0 || y < 0 || x >= size || y >= size ? 0 : magnitude[y * size + x]!);
  const between = (x: number, y: number) => {
    const [left, top] = [Math.floor(x), Math.floor(y)];
    const [u, v] = [x - left, y - top];
    const upper = valueAt(left, top) * (1 - u) + valueAt(left + 1, top) * u;
    return upper * (1 - v) + (v === 0 ? 0 : (valueAt(left, top + 1) * (1 - u) + valueAt(left + 1, top + 1) * u) * v);
  };
  return magnitude.map((value, at) => {
    if (value < low) return 0;
    const [x, y] = [at % size, Math.floor(at / size)];
    // Steps of one pixel along the longer axis. An even edge lies between two equal pixels: one of the two is kept.
    const scale = 1 / Math.max(Math.abs(dx[at]!), Math.abs(dy[at]!));
    const [sx, sy] = [dx[at]! * scale, dy[at]! * scale];
    const isRidge = value >= between(x - sx, y - sy) - 1e-3 && value > between(x + sx, y + sy) + 1e-3;
    return isRidge ? value : 0;
  });
}

/** Keeps the weak ridges that are connected with a strong one. */
function hysteresis(ridge: Float32Array, size: number, high: number): Uint8Array {
  const edges = new Uint8Array(size * size);
  const stack: number[] = [];
  const mark = (at: number) => {
    edges[at] = 1;
    stack.push(at);
  };
  ridge.forEach((value, at) => {
    if (value >= high && edges[at] === 0) mark(at);
    for (let from = stack.pop(); from !== undefined; from = stack.pop()) {
      const [x, y] = [from % size, Math.floor(from / size)];
      for (let ny = Math.max(y - 1, 0); ny <= Math.min(y + 1, size - 1); ny++) {
        for (let nx = Math.max(x - 1, 0); nx <= Math.min(x + 1, size - 1); nx++) {
          const next = ny * size + nx;
          if (ridge[next]! > 0 && edges[next] === 0) mark(next);
        }
      }
    }
  });
  return edges;
}
