import { through } from "./pack.ts";

/**
 * RGB bytes `[side, side, 3]` as a PNG file (W3C, third edition). Not by a canvas: browsers that keep pages from recognizing somebody
 * give noise for what is on one, and no page is told.
 */
export async function pngOf(rgb: Uint8Array, side: number): Promise<Blob> {
  const row = 3 * side;
  // Each row begins with the number of its filter: none.
  const rows = new Uint8Array(side * (1 + row));
  for (let y = 0; y < side; y++) rows.set(rgb.subarray(y * row, (y + 1) * row), y * (1 + row) + 1);
  const header = new DataView(new ArrayBuffer(13));
  header.setUint32(0, side);
  header.setUint32(4, side);
  header.setUint8(8, 8); // bits a sample
  header.setUint8(9, 2); // RGB
  const parts = [
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk("IHDR", new Uint8Array(header.buffer)),
    chunk("IDAT", await through(rows, new CompressionStream("deflate"))),
    chunk("IEND", new Uint8Array()),
  ];
  return new Blob(parts, { type: "image/png" });
}

/** Length, type, data, and the checksum of type and data. */
function chunk(type: string, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(type), 4);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

/** The checksum of ISO 3309, bit by bit: files are small. */
function crc32(bytes: Uint8Array): number {
  let rest = 0xffff_ffff;
  for (const byte of bytes) {
    rest ^= byte;
    for (let bit = 0; bit < 8; bit++) rest = (rest >>> 1) ^ (rest & 1 ? 0xedb8_8320 : 0);
  }
  return ~rest >>> 0;
}
