import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import type { Rgb } from "../../src/conditions/index.ts";
import { openPicture, type Picture } from "../../src/media/picture.ts";
import { chunk, pngFile } from "../data/import/trees.ts";
import { temporaryFolder } from "../run/support.ts";

/** A file with this content, opened as a picture. */
export async function pictureOf(bytes: Uint8Array, name = "a.png"): Promise<Picture> {
  return await openPicture(fileOf(bytes, name));
}

/** The path of a file with this content. */
export function fileOf(bytes: Uint8Array, name = "a.png"): string {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, bytes);
  return path;
}

/** A PNG file that holds indices `[height, width]` of 1, 2, 4 or 8 bits, written here since libraries sort palettes. */
export function palettePng(
  indices: readonly (readonly number[])[],
  palette: readonly Rgb[],
  { bits = 8, extra = [] as readonly Buffer[] } = {},
): Buffer {
  const [height, width] = [indices.length, indices[0]!.length];
  const shape = { width, height, bits, kind: 3 };
  return pngFile(shape, [chunk("PLTE", Buffer.from(palette.flat())), ...extra], deflateSync(packed(indices, bits)));
}

/** Rows of a PNG file without filters. */
export function packed(rows: readonly (readonly number[])[], bits: number): Buffer {
  return Buffer.concat(
    rows.map((row) => {
      const bytes = Buffer.alloc(1 + Math.ceil((row.length * bits) / 8));
      row.forEach((value, x) => {
        bytes[1 + Math.floor((x * bits) / 8)]! |= value << (8 - bits - ((x * bits) % 8));
      });
      return bytes;
    }),
  );
}

/** A chunk of a PNG file, with its length and checksum. */
export function chunkOf(png: Buffer, type: string): Buffer {
  const at = png.indexOf(type, 8, "latin1") - 4;
  return png.subarray(at, at + 12 + png.readUInt32BE(at));
}

/** A PNG file with further chunks after its header. */
export function withChunks(png: Buffer, ...chunks: readonly Buffer[]): Buffer {
  return Buffer.concat([png.subarray(0, 33), ...chunks, png.subarray(33)]);
}
