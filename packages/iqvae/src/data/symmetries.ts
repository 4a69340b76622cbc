import type { PairSplit } from "./dataset.ts";

/** The ways to turn and to mirror a square, itself among them. */
export const SYMMETRIES = 8;

/** In the name of a pair that is turned or mirrored, before its number. */
const MARK = "~";

/** The name of the pair that one is a turned or mirrored form of. */
export function untransformed(id: string): string {
  return id.split(MARK, 1)[0]!;
}

/**
 * Every pair in all eight positions, for data that have no up and no left: the ground seen from above. Pair `8·i + s` is pair `i` of the
 * split in position `s`; position 0 is as it is, and bears its name.
 *
 * @param split images and conditions that are rasters of classes, bytes `[size, size]`
 */
export function inAllPositions(split: PairSplit, size: number): PairSplit {
  const sources = Array.from({ length: SYMMETRIES }, (_, s) => sourcesOf(s, size));
  return {
    length: SYMMETRIES * split.length,
    ids: split.ids.flatMap((id) => sources.map((_, s) => (s === 0 ? id : `${id}${MARK}${s}`))),
    batch(indices) {
      const numbers = Uint32Array.from(indices);
      const beyond = Array.from(indices).find((index) => !(index >= 0 && index < SYMMETRIES * split.length));
      if (beyond !== undefined)
        throw new RangeError(
          `train.batch: expected numbers from 0 to ${SYMMETRIES * split.length - 1}, got ${beyond}.`,
        );
      const plain = split.batch(numbers.map((index) => Math.floor(index / SYMMETRIES)));
      const turned = {
        images: new Uint8Array(plain.images.length),
        conditions: new Uint8Array(plain.conditions.length),
      };
      for (const [i, index] of numbers.entries()) {
        const source = sources[index % SYMMETRIES]!;
        rearrange(plain.images, turned.images, i * source.length, source, 3);
        rearrange(plain.conditions, turned.conditions, i * source.length, source, 1);
      }
      return turned;
    },
  };
}

/** For each pixel of a square in position `symmetry` the pixel of the original that comes there. */
function sourcesOf(symmetry: number, size: number): Uint32Array {
  const last = size - 1;
  return Uint32Array.from({ length: size * size }, (_, pixel) => {
    const [row, column] = [Math.floor(pixel / size), pixel % size];
    const y = symmetry & 1 ? last - row : row;
    const x = symmetry & 2 ? last - column : column;
    return symmetry & 4 ? x * size + y : y * size + x;
  });
}

/** @param first the first pixel of the square, in both arrays */
function rearrange(from: Uint8Array, to: Uint8Array, first: number, source: Uint32Array, channels: number): void {
  for (let pixel = 0; pixel < source.length; pixel++) {
    for (let channel = 0; channel < channels; channel++)
      to[(first + pixel) * channels + channel] = from[(first + source[pixel]!) * channels + channel]!;
  }
}
