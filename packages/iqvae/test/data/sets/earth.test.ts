import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { type OpenPhotographs, openDataset, type PairSplit } from "../../../src/data/index.ts";
import { packageSource } from "../../../src/data/packages.ts";
import { BLUE_MARBLE, BLUE_MARBLE_MONTHS, LAND_COVER } from "../../../src/data/sets/earth/packages.ts";
import { EARTH_CLASSES } from "../../../src/data/sets/earth/planet.ts";
import { earthMonthsRecipe } from "../../../src/data/sets/earth/recipe.ts";
import { untransformed } from "../../../src/data/symmetries.ts";
import { seededRandom } from "../../../src/support/random.ts";
import { temporaryCache, unpackInto } from "./photographs.ts";

/** Side of a field of one land cover, in pixels of the map of 7,200: six degrees. */
const FIELD = 120;
/** A land cover for each field; a third of them is water. */
const classOf = (column: number, row: number) => ((column + row) % 3 === 0 ? 0 : 1 + ((5 * column + 3 * row) % 16));

/** An image of `width` × `width / 2` pixels that shows the fields, each pixel in the value of its class. */
function fields(width: number, channels: 1 | 3, shade: (label: number) => number): Uint8Array {
  const field = (FIELD * width) / 7200;
  const rows = Array.from({ length: 3600 / FIELD }, (_, row) =>
    Uint8Array.from({ length: width * channels }, (_, i) =>
      shade(classOf(Math.floor((Math.floor(i / channels) + 0.5) / field), row)),
    ),
  );
  const bytes = new Uint8Array(width * (width / 2) * channels);
  for (let y = 0; y < width / 2; y++) bytes.set(rows[Math.floor((y + 0.5) / field)]!, y * width * channels);
  return bytes;
}

/** The map as it is packed: a deflated TIFF of class numbers. */
const cover = sharp(
  fields(7200, 1, (label) => label),
  { raw: { width: 7200, height: 3600, channels: 1 } },
)
  .toColorspace("b-w")
  .tiff({ compression: "deflate" })
  .toBuffer();

/** A picture of the same Earth, each class in its own gray, darker by `darker`. */
function picture(width: number, darker = 0): Promise<Buffer> {
  const raw = { width, height: width / 2, channels: 3 } as const;
  return sharp(
    fields(width, 3, (label) => 10 * label + 40 - darker),
    { raw },
  )
    .jpeg({ quality: 95 })
    .toBuffer();
}

const marble = picture(5400);

async function cacheWithEarth(): Promise<string> {
  const cache = temporaryCache();
  unpackInto(cache, LAND_COVER, { [LAND_COVER.files![0]!]: await cover });
  unpackInto(cache, BLUE_MARBLE, { [BLUE_MARBLE.files![0]!]: await marble });
  return cache;
}

/** What gamma 1.6 makes of a level. */
const brightened = (level: number) => Math.round(255 * (level / 255) ** (1 / 1.6));

const open = (cacheDir: string, request: Partial<OpenPhotographs> = {}) =>
  openDataset({ name: "earth", condition: "semantic", size: 64, cacheDir, count: 2000, ...request });

function everyPair({ length, ids, batch }: PairSplit, size: number) {
  const { images, conditions } = batch([...Array(length).keys()]);
  return ids.map((id, i) => ({
    id,
    image: images.subarray(i * size * size * 3, (i + 1) * size * size * 3),
    map: conditions.subarray(i * size * size, (i + 1) * size * size),
  }));
}

describe("earth", () => {
  it("pairs each place's land cover with its picture, brightened", async () => {
    const dataset = await open(await cacheWithEarth(), { count: 200 });
    expect(dataset.condition).toEqual({ kind: "semantic", classes: EARTH_CLASSES });
    expect(EARTH_CLASSES.length).toBe(17);
    expect(dataset.train.length / 8 + dataset.validation.length).toBe(200);
    for (const { image, map } of everyPair(dataset.train, 64)) {
      let off = 0;
      map.forEach((label, at) => {
        off += Math.abs(image[3 * at]! - brightened(10 * label + 40));
      });
      // At borders of fields JPEG mixes shades.
      expect(off / map.length).toBeLessThan(3);
    }
    dataset.close();
  });

  it("takes places with land enough and more than one cover, off the poles", async () => {
    const dataset = await open(await cacheWithEarth(), { count: 300 });
    for (const { id, map } of everyPair(dataset.train, 64)) {
      const [, top] = untransformed(id).split(",").map(Number);
      expect(90 - top! / 15).toBeLessThanOrEqual(78);
      expect(90 - (top! + 64) / 15).toBeGreaterThanOrEqual(-58);
      const shares = new Float64Array(EARTH_CLASSES.length);
      for (const label of map) shares[label]! += 1 / map.length;
      expect(1 - shares[0]!).toBeGreaterThanOrEqual(0.25);
      expect(Math.max(...shares)).toBeLessThanOrEqual(0.95);
    }
    dataset.close();
  });

  it("holds out whole blocks of 12 degrees, at every size alike", async () => {
    const cache = await cacheWithEarth();
    const blockOf = (id: string) => {
      const [left, top] = id.split(",").map(Number);
      return `${Math.floor(left! / 180)},${Math.floor(top! / 180)}`;
    };
    const all = new Map<string, boolean>();
    const misplaced: string[] = [];
    for (const size of [32, 64, 128] as const) {
      const dataset = await open(cache, { size, count: 1500 });
      for (const [part, held] of [[dataset.train, false] as const, [dataset.validation, true] as const]) {
        for (const id of part.ids) {
          const [left, top] = untransformed(id).split(",").map(Number);
          const block = blockOf(untransformed(id));
          const last = blockOf(`${left! + size - 1},${top! + size - 1}`);
          if (
            dataset.facts!.picture!(id) !== untransformed(id) ||
            last !== block ||
            dataset.facts!.group!(id) !== block ||
            (all.get(block) ?? held) !== held
          )
            misplaced.push(id);
          all.set(block, held);
        }
      }
      dataset.close();
    }
    expect(misplaced).toEqual([]);
    const held = [...all.values()].filter(Boolean).length / all.size;
    expect(held).toBeGreaterThan(0.05);
    expect(held).toBeLessThan(0.15);
  });

  it("has no windows of 256 pixels", async () => {
    await expect(open(temporaryCache(), { size: 256 })).rejects.toThrow("size of earth must be one of 32, 64, 128");
  });
});

describe("earth-months", () => {
  const months = ["january", "march", "may", "july", "august"];

  async function cacheWithMonths(): Promise<string> {
    const cache = temporaryCache();
    unpackInto(cache, LAND_COVER, { [LAND_COVER.files![0]!]: await cover });
    const files = BLUE_MARBLE_MONTHS.files!.map(async (name, i) => [name, await picture(2048, 8 * i)] as const);
    unpackInto(cache, BLUE_MARBLE_MONTHS, Object.fromEntries(await Promise.all(files)));
    return cache;
  }

  it("has each place in five months, held out together, and knows them as its true images", async () => {
    const cache = await cacheWithMonths();
    const dataset = await open(cache, { name: "earth-months", size: 32, count: 10_000_000 });
    const { group, concept, trueImages, open: left } = dataset.facts!;
    for (const part of [dataset.train, dataset.validation]) {
      const byPlace = new Map<string, string[]>();
      for (const id of part.ids) {
        const place = id.split("/")[0]!;
        byPlace.set(place, [...(byPlace.get(place) ?? []), id]);
      }
      expect(part.length).toBe(5 * byPlace.size);
      for (const ids of byPlace.values()) {
        expect(ids.map((id) => id.split("/")[1])).toEqual(months);
        expect(new Set(ids.map((id) => group!(id))).size).toBe(1);
        expect(new Set(ids.map((id) => concept!(id))).size).toBe(1);
      }
    }
    const trainBlocks = new Set(dataset.train.ids.map((id) => group!(id)));
    expect(dataset.validation.ids.filter((id) => trainBlocks.has(group!(id)))).toEqual([]);

    const pairs = everyPair(dataset.train, 32).slice(0, 5);
    expect(pairs.map(({ map }) => map)).toEqual(Array(5).fill(pairs[0]!.map));
    const [trait, ...others] = await left!.of(pairs[2]!.id, 32);
    expect([trait!.name, trait!.modes.kind, others]).toEqual(["month", "pictures", []]);
    expect(trait!.modes).toEqual({ kind: "pictures", pictures: pairs.map(({ image }) => image) });
    expect(new Set(pairs.map(({ image }) => image[0])).size).toBe(5);

    const drawn = await trueImages!(pairs[0]!.id, 60, 32, seededRandom("test"));
    const shown = Array.from({ length: 60 }, (_, i) => {
      const image = Buffer.from(drawn.subarray(i * 3072, (i + 1) * 3072));
      return pairs.findIndex((pair) => image.equals(pair.image));
    });
    for (const month of [0, 1, 2, 3, 4]) expect(shown.filter((each) => each === month).length).toBeGreaterThan(3);
    dataset.close();
  });

  it("says how to ask for its Debian package, and which ids it knows", async () => {
    const cache = temporaryCache();
    unpackInto(cache, LAND_COVER, { [LAND_COVER.files![0]!]: "never read" });
    const request = { name: "earth-months", condition: "semantic", size: 32, cacheDir: cache, count: 50 } as const;
    const refused = openDataset(request);
    await expect(refused).rejects.toThrow("gpredict 2.3-72-gc596101-3 (6 MB)");
    await expect(refused).rejects.toThrow("npx iqvae data earth-months --fetch");
    await expect(refused).rejects.toThrow("apt-get download gpredict=2.3-72-gc596101-3");
    const recipe = earthMonthsRecipe(
      { size: 32, count: 50 },
      packageSource("earth-months", cache, false, () => {}),
    );
    await expect(recipe.facts!.trueImages!("0,0/may", 1, 32, Math.random)).rejects.toThrow("--fetch");
    await expect(recipe.facts!.trueImages!("somewhere", 1, 32, Math.random)).rejects.toThrow('got "somewhere"');
  });
});
