import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import fc from "fast-check";
import sharp from "sharp";
import { type OpenImport, openDataset, type PairDataset } from "../../../src/data/index.ts";
import { temporaryFolder } from "../../run/support.ts";

/** A tree of files in a folder that is gone after the test. */
export function tree(files: Readonly<Record<string, string | Uint8Array>>): string {
  const root = temporaryFolder();
  put(root, files);
  return root;
}

export function put(root: string, files: Readonly<Record<string, string | Uint8Array>>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), content);
  }
}

/** Opens an import with a cache of its own, and keeps what it says. */
export async function importOf(request: OpenImport): Promise<{ dataset: PairDataset; said: string[] }> {
  const said: string[] = [];
  const dataset = await openDataset({
    cacheDir: temporaryFolder(),
    onMessage: (text: string) => said.push(text),
    ...request,
  } as OpenImport);
  return { dataset, said };
}

/** All pairs by id. */
export function pairsOf(dataset: PairDataset): Map<string, { image: Uint8Array; condition: Uint8Array }> {
  return new Map(
    [dataset.train, dataset.validation].flatMap((split) =>
      split.ids.map((id, i) => {
        const { images, conditions } = split.batch([i]);
        return [id, { image: images, condition: conditions }] as const;
      }),
    ),
  );
}

/** Pixels of a picture from a function of the place. */
export function pixels(width: number, height: number, color: (x: number, y: number) => readonly number[]): Buffer {
  const rows = Array.from({ length: height }, (_, y) => Array.from({ length: width }, (_, x) => color(x, y)));
  return Buffer.from(rows.flat(2));
}

/** An RGB picture as PNG; `palette` makes it one with a palette. */
export async function png(
  width: number,
  height: number,
  color: (x: number, y: number) => readonly number[],
  { palette = false } = {},
): Promise<Buffer> {
  const raw = pixels(width, height, color);
  const channels = (raw.length / width / height) as 1 | 3;
  const image = sharp(raw, { raw: { width, height, channels } });
  return await (channels === 1 ? image.toColorspace("b-w") : image).png({ palette }).toBuffer();
}

export async function jpeg(
  width: number,
  height: number,
  color: (x: number, y: number) => readonly number[],
): Promise<Buffer> {
  return await sharp(pixels(width, height, color), { raw: { width, height, channels: 3 } })
    .jpeg({ quality: 95, chromaSubsampling: "4:4:4" })
    .toBuffer();
}

/** A WAV file of 16 bits at 16 kHz: a tone. */
export function wav(hertz: number, seconds = 0.4): Buffer {
  const rate = 16_000;
  const count = Math.round(rate * seconds);
  const file = Buffer.alloc(44 + 2 * count);
  file.write("RIFF", 0);
  file.writeUInt32LE(36 + 2 * count, 4);
  file.write("WAVEfmt ", 8);
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(1, 20);
  file.writeUInt16LE(1, 22);
  file.writeUInt32LE(rate, 24);
  file.writeUInt32LE(2 * rate, 28);
  file.writeUInt16LE(2, 32);
  file.writeUInt16LE(16, 34);
  file.write("data", 36);
  file.writeUInt32LE(2 * count, 40);
  for (let i = 0; i < count; i++)
    file.writeInt16LE(Math.round(20_000 * Math.sin((2 * Math.PI * hertz * i) / rate)), 44 + 2 * i);
  return file;
}

/** A PNG file put together by hand; its compressed rows lie in as many chunks as `parts` says. */
export function pngFile(
  header: { width: number; height: number; bits: number; kind: number; interlacing?: number },
  before: readonly Buffer[],
  data: Buffer,
  parts = 1,
): Buffer {
  const { width, height, bits, kind, interlacing = 0 } = header;
  const body = Buffer.alloc(13);
  body.writeUInt32BE(width, 0);
  body.writeUInt32BE(height, 4);
  body.set([bits, kind, 0, 0, interlacing], 8);
  const step = Math.ceil(data.length / parts);
  const rows = Array.from({ length: parts }, (_, i) => chunk("IDAT", data.subarray(i * step, (i + 1) * step)));
  const signature = Buffer.from("\x89PNG\r\n\x1a\n", "latin1");
  return Buffer.concat([signature, chunk("IHDR", body), ...before, ...rows, chunk("IEND", Buffer.alloc(0))]);
}

/** A chunk of a PNG file with its checksum. */
export function chunk(type: string, body: Buffer): Buffer {
  const content = Buffer.concat([Buffer.from(type, "latin1"), body]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(body.length);
  sum.writeUInt32BE(crc32(content));
  return Buffer.concat([length, content, sum]);
}

/** Damages a file: some bytes changed, and perhaps the end cut off. */
export const damage = (file: Buffer): fc.Arbitrary<Buffer> =>
  fc
    .record({
      changes: fc.array(fc.tuple(fc.nat(file.length - 1), fc.nat(255)), { maxLength: 12 }),
      end: fc.oneof(fc.constant(file.length), fc.nat(file.length)),
    })
    .map(({ changes, end }) => {
      const copy = Buffer.from(file);
      for (const [at, value] of changes) copy[at] = value;
      return copy.subarray(0, end);
    });
