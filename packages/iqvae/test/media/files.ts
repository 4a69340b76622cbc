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

/** A TIFF file (TIFF 6.0) of numbers that count as 1: whole ones, 2: signed, 3: fractions; gray, or RGB of three channels. */
export function tiffFile(
  side: number,
  { channels, bits, format }: { channels: 1 | 3; bits: number; format: 1 | 2 | 3 },
  data: Buffer,
): Buffer {
  const each = 8 + 2 + 12 * 10 + 4;
  const [short, long] = [3, 4];
  const tags = [
    [256, long, side],
    [257, long, side],
    [258, short, bits],
    [259, short, 1],
    [262, short, channels === 1 ? 1 : 2],
    [273, long, each + 12],
    [277, short, channels],
    [278, long, side],
    [279, long, data.length],
    [339, short, format],
  ] as const;
  const file = Buffer.alloc(each + 12);
  file.write("II*\0\x08\0\0\0", "latin1");
  file.writeUInt16LE(tags.length, 8);
  tags.forEach(([tag, type, value], i) => {
    const at = 10 + 12 * i;
    // What a number is, is said for each channel; three do not fit into the directory.
    const apart = channels === 3 && (tag === 258 || tag === 339);
    const place = each + (tag === 258 ? 0 : 6);
    file.writeUInt16LE(tag, at);
    file.writeUInt16LE(type, at + 2);
    file.writeUInt32LE(apart ? 3 : 1, at + 4);
    file.writeUInt32LE(apart ? place : value, at + 8);
    if (apart) for (let c = 0; c < 3; c++) file.writeUInt16LE(value, place + 2 * c);
  });
  return Buffer.concat([file, data]);
}
