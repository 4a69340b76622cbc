import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import { colorEdges } from "@iqvae/runtime";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { openDataset } from "../../../src/data/index.ts";
import { GCOMPRIS, PHOTO_ARCHIVES } from "../../../src/data/sets/photos/packages.ts";
import { readResources } from "../../../src/data/sets/photos/qt-resources.ts";
import { seededRandom } from "../../../src/support/random.ts";
import { temporaryCache, unpackInto } from "./photographs.ts";

interface Entry {
  readonly path: string;
  readonly content: Uint8Array;
  readonly flags?: number;
}

/** A Qt resource archive as `rcc` writes it: folders first, the children of each in one row. */
function archive(entries: readonly Entry[], version = 3): Buffer {
  interface Node {
    readonly name: string;
    readonly children: Node[];
    entry?: Entry;
  }
  const root: Node = { name: "", children: [] };
  for (const entry of entries) {
    let at = root;
    for (const name of entry.path.split("/").slice(1)) {
      const next = at.children.find((child) => child.name === name) ?? { name, children: [] };
      if (!at.children.includes(next)) at.children.push(next);
      at = next;
    }
    at.entry = entry;
  }
  const rows = [root];
  for (const node of rows) rows.push(...node.children);
  const length = version === 1 ? 14 : 22;
  const tree = Buffer.alloc(rows.length * length);
  const [data, names]: [Buffer[], Buffer[]] = [[], []];
  const sizeOf = (parts: readonly Buffer[]) => parts.reduce((sum, part) => sum + part.length, 0);
  rows.forEach((node, row) => {
    const at = row * length;
    tree.writeUInt32BE(sizeOf(names), at);
    const name = Buffer.alloc(6 + 2 * node.name.length);
    name.writeUInt16BE(node.name.length);
    [...node.name].forEach((character, i) => {
      name.writeUInt16BE(character.charCodeAt(0), 6 + 2 * i);
    });
    names.push(name);
    if (node.entry === undefined) {
      tree.writeUInt16BE(2, at + 4);
      tree.writeUInt32BE(node.children.length, at + 6);
      tree.writeUInt32BE(rows.indexOf(node.children[0]!), at + 10);
      return;
    }
    const { content, flags = 0 } = node.entry;
    tree.writeUInt16BE(flags, at + 4);
    tree.writeUInt32BE(sizeOf(data), at + 10);
    const expanded = Buffer.alloc(4);
    expanded.writeUInt32BE(content.length);
    const stored = flags === 1 ? Buffer.concat([expanded, deflateSync(content)]) : Buffer.from(content);
    const head = Buffer.alloc(4);
    head.writeUInt32BE(stored.length);
    data.push(Buffer.concat([head, stored]));
  });
  const header = Buffer.alloc(version === 3 ? 24 : 20);
  header.write("qres");
  const begins = [version, header.length + sizeOf(data) + sizeOf(names), header.length, header.length + sizeOf(data)];
  begins.forEach((value, i) => {
    header.writeUInt32BE(value, 4 + 4 * i);
  });
  return Buffer.concat([header, ...data, ...names, tree]);
}

describe("a Qt resource archive", () => {
  const files: Entry[] = [
    { path: "/images/fish/größe.webp", content: Buffer.from("stored") },
    { path: "/images/text.txt", content: Buffer.from("not wanted") },
    { path: "/images/tools/saw.webp", content: Buffer.from("compressed by zlib"), flags: 1 },
  ];

  function archiveFile(content: Buffer): string {
    const path = join(temporaryCache(), "some.rcc");
    writeFileSync(path, content);
    return path;
  }
  const webp = (path: string) => path.endsWith(".webp");

  it.each([1, 2, 3])("of version %d gives the wanted files by their paths", async (version) => {
    const found = await readResources(archiveFile(archive(files, version)), webp);
    expect([...found].map(([path, bytes]) => [path, Buffer.from(bytes).toString()])).toEqual([
      ["/images/fish/größe.webp", "stored"],
      ["/images/tools/saw.webp", "compressed by zlib"],
    ]);
  });

  it("is refused when it is another file, of another version, cut off or in circles", async () => {
    const whole = archive(files);
    await expect(readResources(archiveFile(Buffer.from("RIFF....WEBPVP8 ....")), webp)).rejects.toThrow("'qres'");
    await expect(readResources(archiveFile(archive(files, 4)), webp)).rejects.toThrow("version is 4");
    await expect(readResources(archiveFile(whole.subarray(0, -30)), webp)).rejects.toThrow(
      "some.rcc is not a whole Qt",
    );
    const looped = Buffer.from(whole);
    looped.writeUInt32BE(0, looped.readUInt32BE(8) + 10); // the first folder has itself for a child
    await expect(readResources(archiveFile(looped), webp)).rejects.toThrow("a loop");
    const zstandard = archive([{ path: "/a.webp", content: Buffer.from("x"), flags: 4 }]);
    await expect(readResources(archiveFile(zstandard), webp)).rejects.toThrow("Zstandard");
  });
});

/** A photograph as it is packed: stripes of two colors, which its name decides. */
async function photograph(name: string, width: number, height: number, alpha = false): Promise<Buffer> {
  const random = seededRandom(name);
  const one = [0, 1, 2].map(() => Math.floor(120 * random()));
  const two = one.map((level) => level + 100);
  const stripe = Math.ceil(height / 4);
  const bytes = new Uint8Array(width * height * 3);
  for (let at = 0; at < width * height; at++) {
    const color = Math.floor(((at % width) + Math.floor(at / width)) / stripe) % 2 === 0 ? one : two;
    bytes.set(color, 3 * at);
  }
  const image = sharp(bytes, { raw: { width, height, channels: 3 } });
  return await (alpha ? image.ensureAlpha(0.5) : image).webp().toBuffer();
}

async function cacheWithPhotos(): Promise<string> {
  const cache = temporaryCache();
  const images: Readonly<Record<string, readonly (readonly [string, number, number, boolean?])[]>> = {
    categorization: [
      ["images/monuments/greatWall", 320, 240],
      ["images/monuments/colosseum", 320, 208],
      ["images/tools/plier1", 320, 119],
    ],
    clickgame: [
      ["sea1", 400, 300],
      ["manta", 532, 91, true],
      ["butfish", 196, 82],
    ],
    erase: Array.from({ length: 12 }, (_, i) => [`animal${i}`, 480, 270] as const),
    explore_farm_animals: [["animals/cow", 300, 200]],
    explore_monuments: [
      ["wonders/greatWallofChina", 300, 220],
      ["wonders/colosseum", 300, 200],
    ],
    explore_world_animals: [["animals/bison", 300, 225, true]],
  };
  for (const path of PHOTO_ARCHIVES) {
    const activity = /(\w+)\.rcc$/.exec(path)![1]!;
    const entries = images[activity]!.map(async ([name, width, height, alpha]) => ({
      path: `/gcompris/src/activities/${activity}/resource/${name}.webp`,
      content: await photograph(name, width, height, alpha),
    }));
    unpackInto(cache, GCOMPRIS, { [path]: archive(await Promise.all(entries)) });
  }
  unpackInto(cache, GCOMPRIS, { [GCOMPRIS.files!.at(-1)!]: "whose they are" });
  return cache;
}

const photoOf = (id: string) => id.split("#")[0]!;

describe("photos", () => {
  it("cuts squares out of photographs, with their edges; drawings, doubles and what is too small are left out", async () => {
    const cacheDir = await cacheWithPhotos();
    const dataset = await openDataset({ name: "photos", condition: "edges", size: 128, count: 400, cacheDir });
    const all = [...dataset.train.ids, ...dataset.validation.ids];
    const expected = ["categorization/greatWall", "clickgame/sea1", "explore_farm_animals/cow"].concat(
      ["explore_monuments/colosseum", "explore_monuments/greatWallofChina"],
      Array.from({ length: 12 }, (_, i) => `erase/animal${i}`),
    );
    expect(new Set(all.map(photoOf))).toEqual(new Set(expected));
    expect(dataset.facts!.edgesOfImage).toBe(true);
    const { images, conditions } = dataset.train.batch([0, 160]);
    for (const i of [0, 1]) {
      const image = images.subarray(i * 49152, (i + 1) * 49152);
      const edges = conditions.subarray(i * 16384, (i + 1) * 16384);
      expect(edges).toEqual(colorEdges(image, 128));
      const share = edges.reduce((sum, edge) => sum + edge, 0) / edges.length;
      expect(share).toBeGreaterThanOrEqual(0.05);
      expect(share).toBeLessThanOrEqual(0.35);
    }
    dataset.close();
  });

  it("holds out photographs whole, and those of one monument together", async () => {
    const dataset = await openDataset({
      name: "photos",
      condition: "edges",
      size: 64,
      cacheDir: await cacheWithPhotos(),
    });
    const { group } = dataset.facts!;
    const train = new Set(dataset.train.ids.map(photoOf));
    const held = new Set(dataset.validation.ids.map(photoOf));
    expect(held.size).toBeGreaterThan(0);
    expect([...held].filter((photo) => train.has(photo))).toEqual([]);
    expect(train.has("categorization/greatWall")).toBe(train.has("explore_monuments/greatWallofChina"));
    expect(group!("categorization/greatWall#0")).toBe(group!("explore_monuments/greatWallofChina#7"));
    expect(group!("erase/animal1#0")).not.toBe(group!("erase/animal2#0"));
    expect([...train, ...held]).toContain("categorization/plier1");
    dataset.close();
  });

  it("is told where an archive is damaged", async () => {
    const cacheDir = await cacheWithPhotos();
    const path = join(cacheDir, "packages", "gcompris-qt-data-3.1-2", PHOTO_ARCHIVES[2]!);
    writeFileSync(path, readFileSync(path).subarray(0, 600));
    const opened = openDataset({ name: "photos", condition: "edges", size: 64, cacheDir });
    await expect(opened).rejects.toThrow("erase.rcc is not a whole Qt resource archive");
    await expect(opened).rejects.toThrow(
      `The package in ${join(cacheDir, "packages", "gcompris-qt-data-3.1-2")} cannot`,
    );
  });
});
