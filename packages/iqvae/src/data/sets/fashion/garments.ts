import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import type { Rgb, SemanticClass } from "../../dataset.ts";
import type { PackageSource } from "../../packages.ts";
import { FASHION, FASHION_FILES } from "./packages.ts";

const KINDS: readonly (readonly [name: string, color: Rgb])[] = [
  ["t-shirt", [230, 60, 60]],
  ["trousers", [60, 60, 230]],
  ["pullover", [240, 160, 40]],
  ["dress", [200, 60, 200]],
  ["coat", [120, 80, 40]],
  ["sandal", [40, 170, 170]],
  ["shirt", [255, 120, 150]],
  ["sneaker", [40, 160, 60]],
  ["bag", [130, 130, 40]],
  ["ankle boot", [90, 90, 90]],
];

/** Kinds of garments, by their labels in Fashion-MNIST. */
export const FASHION_KINDS: readonly SemanticClass[] = KINDS.map(([name, color]) => ({ name, color }));

/** Side of a photograph in pixels. */
export const GARMENT_SIDE = 28;
const PIXELS = GARMENT_SIDE ** 2;

export type FashionPart = "train" | "test";

/** One half of Fashion-MNIST. */
export interface Garments {
  /** Number of its kind, by photograph. */
  readonly labels: Uint8Array;
  /** How much of each pixel is garment, `[28, 28]`: 0 is the ground, and what is white is darkest. */
  ink(index: number): Uint8Array;
}

/** All photographs of garments. */
export async function fashion(source: PackageSource): Promise<Readonly<Record<FashionPart, Garments>>> {
  const folder = await source(FASHION);
  const [train, test] = [FASHION_FILES.train, FASHION_FILES.test];
  return { train: await garments(folder, train), test: await garments(folder, test) };
}

async function garments(folder: string, [images, labeled]: readonly [string, string]): Promise<Garments> {
  const pixels = await readIdx(join(folder, images), [GARMENT_SIDE, GARMENT_SIDE]);
  const labels = await readIdx(join(folder, labeled), []);
  if (pixels.length !== labels.length * PIXELS) {
    throw new Error(`${labeled} has ${labels.length} labels, but ${images} has ${pixels.length / PIXELS} photographs.`);
  }
  return { labels, ink: (index) => pixels.subarray(index * PIXELS, (index + 1) * PIXELS) };
}

/**
 * The bytes of a gzipped file in the IDX format of MNIST: two zeros, 8 for bytes, the number of dimensions, each dimension in 32
 * bits, most significant byte first, then the values.
 *
 * @param shape of an entry
 */
async function readIdx(path: string, shape: readonly number[]): Promise<Uint8Array> {
  const bytes = gunzipSync(await readFile(path));
  const header = 4 + 4 * (1 + shape.length);
  const magic = bytes.length < header ? 0 : bytes.readUInt32BE(0);
  const found = magic === 0x0800 + 1 + shape.length ? shape.map((_, i) => bytes.readUInt32BE(8 + 4 * i)) : undefined;
  const count = found === undefined ? 0 : bytes.readUInt32BE(4);
  const length = count * shape.reduce((product, side) => product * side, 1);
  if (found === undefined || found.some((side, i) => side !== shape[i]) || bytes.length !== header + length) {
    throw new Error(`${path} is not an IDX file of bytes with entries of [${shape.join(", ")}], or is cut off.`);
  }
  return new Uint8Array(bytes.subarray(header));
}

/** Least ink of a pixel that counts as garment. */
const LEAST_INK = 24;
const SMALLEST_SPECK = 6;

/** What a garment covers, `[28, 28]`, 0 or 1: with its holes, without specks. */
export function silhouette(ink: Uint8Array): Uint8Array {
  const covered = ink.map((level) => (level > LEAST_INK ? 1 : 0));
  for (const { pixels, atBorder } of areas(covered, 0)) if (!atBorder) for (const at of pixels) covered[at] = 1;
  for (const { pixels } of areas(covered, 1))
    if (pixels.length < SMALLEST_SPECK) for (const at of pixels) covered[at] = 0;
  return covered;
}

interface Area {
  readonly pixels: readonly number[];
  readonly atBorder: boolean;
}

/** Pixels of a value that hang together by their sides. */
function areas(map: Uint8Array, value: number): readonly Area[] {
  const seen = new Uint8Array(map.length);
  const found: Area[] = [];
  for (let start = 0; start < map.length; start++) {
    if (map[start] !== value || seen[start] === 1) continue;
    const pixels = [start];
    seen[start] = 1;
    let atBorder = false;
    // It grows while it is gone through.
    for (const at of pixels) {
      const [x, y] = [at % GARMENT_SIDE, Math.floor(at / GARMENT_SIDE)];
      for (const [dx, dy] of [
        [-1, 0],
        [1, 0],
        [0, -1],
        [0, 1],
      ] as const) {
        const [nx, ny] = [x + dx, y + dy];
        if (nx < 0 || ny < 0 || nx >= GARMENT_SIDE || ny >= GARMENT_SIDE) {
          atBorder = true;
          continue;
        }
        const next = ny * GARMENT_SIDE + nx;
        if (map[next] !== value || seen[next] === 1) continue;
        seen[next] = 1;
        pixels.push(next);
      }
    }
    found.push({ pixels, atBorder });
  }
  return found;
}
