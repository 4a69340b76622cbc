import { FileProblem } from "@iqvae/runtime";
import type { Picture } from "./picture.ts";

/**
 * A label map must come back as it was saved: compression with loss invents labels, and no decoder tells of it.
 *
 * @throws FileProblem for a file that was compressed with loss, or may have been
 */
export function expectLossless({ path, bytes, header }: Picture): void {
  const { format } = header;
  if (format === "png" || format === "gif") return;
  if (format === "webp" && isLosslessWebp(bytes)) return;
  if (format === "tiff" && isPlainTiff(bytes)) return;
  const name = format === "heif" && header.compression === "av1" ? "AVIF" : format.toUpperCase();
  const why = format === "tiff" ? "is compressed with loss, or has a palette" : "is compressed with loss";
  throw new FileProblem(
    "unsuitable format",
    `${path} is a label map as ${name} that ${why}, which invents labels. Save the map as PNG, from where it was drawn.`,
  );
}

/** Whether the pixels of a WebP file lie in a chunk `VP8L` (RFC 9649, 2.6 and 2.7), be it the first or behind others. */
function isLosslessWebp(bytes: Buffer): boolean {
  for (let at = 12; at + 8 <= bytes.length; ) {
    const name = bytes.toString("latin1", at, at + 4);
    if (name === "VP8L") return true;
    if (name === "VP8 " || name === "ANMF") return false;
    const length = bytes.readUInt32LE(at + 4);
    at += 8 + length + (length % 2);
  }
  return false;
}

/** TIFF's codes for no compression, CCITT's three, LZW, deflate (new and old), PackBits, LZMA and Zstandard. */
const LOSSLESS = [1, 2, 3, 4, 5, 8, 32_946, 32_773, 34_925, 50_000];
/** 259 says how pixels are compressed; 262 what they mean: 1 is gray with black as 0, 2 is RGB, 3 a palette. */
const [COMPRESSION, MEANING] = [259, 262];

/** Whether the first directory of a TIFF file (TIFF 6.0, section 2) tells of gray or RGB pixels without loss. */
function isPlainTiff(bytes: Buffer): boolean {
  const little = bytes.toString("latin1", 0, 2) === "II";
  const short = (at: number) => (little ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at));
  const found = new Map([[COMPRESSION, 1]]);
  if (bytes.length < 8 || short(2) !== 42) return false;
  const directory = little ? bytes.readUInt32LE(4) : bytes.readUInt32BE(4);
  if (directory + 2 > bytes.length) return false;
  for (let n = 0; n < short(directory); n++) {
    const at = directory + 2 + 12 * n;
    if (at + 12 > bytes.length) return false;
    found.set(short(at), short(at + 8));
  }
  const meaning = found.get(MEANING);
  return LOSSLESS.includes(found.get(COMPRESSION)!) && (meaning === 1 || meaning === 2);
}
