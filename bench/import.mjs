// Reading and checking pairs: 1,000 photographs-to-be of 256 pixels (JPEG) with semantic maps (PNG), scaled to 128 pixels, or to
// what --size says.
// Prints one JSON line a repeat; the peer is peers/import.py, which makes the same arrays from the same files.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import sharp from "sharp";
import { openDataset } from "../packages/iqvae/dist/data/index.js";

const SIDE = 256;
const CLASSES = 20;

const { values } = parseArgs({
  options: {
    repeats: { type: "string", default: "3" },
    threads: { type: "string", default: "2" },
    pairs: { type: "string", default: "1000" },
    /** What pairs are scaled to. */
    size: { type: "string", default: "128" },
    /** Only writes the files there, for the peer to read. */
    make: { type: "string" },
  },
});
const pairs = Number(values.pairs);

if (values.make !== undefined) await makePairs(values.make);
else {
  const folder = mkdtempSync(join(tmpdir(), "iqvae-import-"));
  try {
    await makePairs(folder);
    await measure(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(folder) {
  const classes = Array.from({ length: CLASSES }, (_, i) => `class ${i}`);
  for (let repeat = 0; repeat < Number(values.repeats); repeat++) {
    const cacheDir = join(folder, `cache-${repeat}`);
    const start = performance.now();
    const used = process.cpuUsage();
    const dataset = await openDataset({
      name: "folder",
      path: folder,
      size: Number(values.size),
      condition: "semantic",
      classes,
      cacheDir,
      onMessage: () => {},
    });
    const seconds = (performance.now() - start) / 1000;
    const { user, system } = process.cpuUsage(used);
    const read = dataset.train.length + dataset.validation.length;
    if (read !== pairs) throw new Error(`${read} of ${pairs} pairs were read`);
    dataset.close();
    console.log(JSON.stringify({ "pairs/s": pairs / seconds, "cpu ms/pair": (user + system) / 1000 / pairs }));
  }
}

/** Blobs of color with some noise on them, so that JPEG has as much to do as with a photograph. */
async function makePairs(folder) {
  for (const name of ["image", "condition"]) mkdirSync(join(folder, name), { recursive: true });
  let state = 1;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  for (let n = 0; n < pairs; n++) {
    const labels = Buffer.alloc(SIDE * SIDE);
    const pixels = Buffer.alloc(SIDE * SIDE * 3);
    const seeds = Array.from({ length: 12 }, () => [random() * SIDE, random() * SIDE, Math.floor(random() * CLASSES)]);
    for (let at = 0; at < labels.length; at++) {
      const [x, y] = [at % SIDE, Math.floor(at / SIDE)];
      let [nearest, label] = [Number.POSITIVE_INFINITY, 0];
      for (const [sx, sy, own] of seeds) {
        const distance = (x - sx) ** 2 + (y - sy) ** 2;
        if (distance < nearest) [nearest, label] = [distance, own];
      }
      labels[at] = label;
      for (let c = 0; c < 3; c++) pixels[3 * at + c] = ((label * 37 * (c + 1)) % 200) + random() * 40 + x / 16;
    }
    const image = sharp(pixels, { raw: { width: SIDE, height: SIDE, channels: 3 } });
    const map = sharp(labels, { raw: { width: SIDE, height: SIDE, channels: 1 } }).toColourspace("b-w");
    writeFileSync(join(folder, "image", `${n}.jpg`), await image.jpeg({ quality: 90 }).toBuffer());
    writeFileSync(join(folder, "condition", `${n}.png`), await map.png().toBuffer());
  }
}
