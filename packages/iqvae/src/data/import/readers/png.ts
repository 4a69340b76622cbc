import { inflateSync } from "node:zlib";
import type { Rgb } from "../../../conditions/index.ts";

/** A PNG file of a kind that needs no imaging library: gray numbers, indices of a palette, or RGB bytes, row by row. */
export interface PlainPng {
  readonly width: number;
  readonly height: number;
  /** Of one number. */
  readonly bits: 1 | 2 | 4 | 8;
  readonly channels: 1 | 3;
  /** Where numbers are its indices. */
  readonly palette?: readonly Rgb[];
  /** The compressed rows. */
  readonly data: Uint8Array;
}

const SIGNATURE = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
const [GRAY, RGB, PALETTE] = [0, 2, 3];
/** Chunks that change what pixels mean: opacity, profiles of color, the way up. */
const NOT_PLAIN = ["tRNS", "iCCP", "eXIf", "acTL"];

/**
 * Reads the chunks of a PNG file (PNG specification, third edition, 5 and 11).
 *
 * @returns `undefined` for what is no whole PNG file, and for one with opacity, 16 bits, interlacing or a profile; sharp has
 *   the word on those
 */
export function plainPng(bytes: Buffer): PlainPng | undefined {
  let header: Buffer | undefined;
  let palette: Rgb[] | undefined;
  const data: Buffer[] = [];
  for (const { type, body } of chunksOf(bytes)) {
    if (NOT_PLAIN.includes(type)) return undefined;
    if (type === "IHDR") header = body;
    if (type === "PLTE") palette = colorsOf(body);
    if (type === "IDAT") data.push(body);
    if (type === "IEND") return header && described(header, palette, Buffer.concat(data));
  }
  return undefined;
}

function described(header: Buffer, palette: Rgb[] | undefined, data: Uint8Array): PlainPng | undefined {
  if (header.length !== 13) return undefined;
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  const [bits, kind, compression, filter, interlacing] = header.subarray(8) as unknown as readonly number[];
  if (compression !== 0 || filter !== 0 || interlacing !== 0) return undefined;
  if (bits !== 8 && (kind === RGB || (bits !== 1 && bits !== 2 && bits !== 4))) return undefined;
  if (kind === RGB || kind === GRAY) return { width, height, bits, channels: kind === RGB ? 3 : 1, data };
  return kind === PALETTE && palette !== undefined ? { width, height, bits, channels: 1, palette, data } : undefined;
}

/** The palette of a PNG file, if it has one, be the rest of it plain or not. */
export function paletteOf(bytes: Buffer): Rgb[] | undefined {
  for (const { type, body } of chunksOf(bytes)) {
    if (type === "IDAT") return undefined;
    if (type === "PLTE") return colorsOf(body);
  }
  return undefined;
}

function colorsOf(body: Uint8Array): Rgb[] {
  const count = Math.floor(body.length / 3);
  return Array.from({ length: count }, (_, i) => [body[3 * i]!, body[3 * i + 1]!, body[3 * i + 2]!]);
}

/** The chunks of a file up to the first that is damaged. */
function* chunksOf(bytes: Buffer): Generator<{ readonly type: string; readonly body: Buffer }> {
  if (!bytes.subarray(0, SIGNATURE.length).equals(SIGNATURE)) return;
  for (let at = SIGNATURE.length; at + 12 <= bytes.length; ) {
    const end = at + 8 + bytes.readUInt32BE(at);
    if (end + 4 > bytes.length || crc32(bytes.subarray(at + 4, end)) !== bytes.readUInt32BE(end)) return;
    yield { type: bytes.toString("latin1", at + 4, at + 8), body: bytes.subarray(at + 8, end) };
    at = end + 4;
  }
}

/** No byte of deflate stands for more bytes than this; what claims more is damaged, and takes no memory. */
const MOST_INFLATED = 1032;

/**
 * The numbers of a PNG file as they are stored.
 *
 * @returns bytes `[height, width, channels]`, `undefined` for what cannot be decoded
 */
export function pngPixels({ width, height, bits, channels, palette, data }: PlainPng): Uint8Array | undefined {
  const stride = Math.ceil((width * channels * bits) / 8);
  const length = height * (stride + 1);
  if (length === 0 || length > MOST_INFLATED * data.length) return undefined;
  let rows: Uint8Array;
  try {
    // A place more than is needed, so that what is too long shows.
    rows = inflateSync(data, { chunkSize: Math.max(64, length + 1), maxOutputLength: length + 1 });
  } catch {
    return undefined;
  }
  if (rows.length !== length) return undefined;
  const bytes = unfiltered(rows, stride, height, channels);
  const pixels = bytes === undefined || bits === 8 ? bytes : unpacked(bytes, stride, width, height, bits);
  // What an index beyond the palette shows, no specification says.
  if (palette !== undefined && pixels !== undefined && !allBelow(pixels, palette.length)) return undefined;
  return pixels;
}

/** Takes the filter off each row: see 9.2 of the specification. `step` is the distance to the pixel on the left. */
function unfiltered(rows: Uint8Array, stride: number, height: number, step: number): Uint8Array | undefined {
  const out = new Uint8Array(stride * height);
  for (let y = 0; y < height; y++) {
    const from = y * (stride + 1) + 1;
    const to = y * stride;
    const up = to - stride;
    const filter = rows[from - 1]!;
    if (filter > 4) return undefined;
    if (filter === 0 || (filter === 2 && y === 0)) {
      out.set(rows.subarray(from, from + stride), to);
      continue;
    }
    for (let x = 0; x < stride; x++) {
      const left = x >= step ? out[to + x - step]! : 0;
      const above = y > 0 ? out[up + x]! : 0;
      const corner = x >= step && y > 0 ? out[up + x - step]! : 0;
      out[to + x] = rows[from + x]! + predicted(filter, left, above, corner);
    }
  }
  return out;
}

function predicted(filter: number, left: number, above: number, corner: number): number {
  if (filter === 1) return left;
  if (filter === 2) return above;
  if (filter === 3) return (left + above) >> 1;
  const [toLeft, toAbove] = [Math.abs(above - corner), Math.abs(left - corner)];
  const toCorner = Math.abs(left + above - 2 * corner);
  if (toLeft <= toAbove && toLeft <= toCorner) return left;
  return toAbove <= toCorner ? above : corner;
}

/** Numbers of fewer than 8 bits, the leftmost in the high bits of a byte. */
function unpacked(bytes: Uint8Array, stride: number, width: number, height: number, bits: number): Uint8Array {
  const out = new Uint8Array(width * height);
  const [each, mask] = [8 / bits, 2 ** bits - 1];
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < width; x++, at++) {
      const byte = bytes[y * stride + Math.floor(x / each)]!;
      out[at] = (byte >> (8 - bits - (x % each) * bits)) & mask;
    }
  }
  return out;
}

/** Whether bytes are all below a limit; a loop, since a callback for each pixel of a map takes ten times as long. */
export function allBelow(numbers: Uint8Array, limit: number): boolean {
  let most = 0;
  for (let i = 0; i < numbers.length; i++) if (numbers[i]! > most) most = numbers[i]!;
  return most < limit;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let rest = byte;
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? 0xedb88320 ^ (rest >>> 1) : rest >>> 1;
  return rest;
});

/** The checksum of a chunk's type and body (annex D of the specification). Node.js has one from 20.15 on only. */
export function crc32(bytes: Uint8Array): number {
  let rest = 0xffff_ffff;
  for (let i = 0; i < bytes.length; i++) rest = TABLE[(rest ^ bytes[i]!) & 255]! ^ (rest >>> 8);
  return ~rest >>> 0;
}
