import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import sharp from "sharp";
import { type OpenImport, openDataset, type PairDataset } from "../../../src/data/index.ts";
import { temporaryFolder } from "../../training/support.ts";

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
  return await (channels === 1 ? image.toColourspace("b-w") : image).png({ palette }).toBuffer();
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
