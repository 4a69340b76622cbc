import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { Config } from "../../../src/config/index.ts";
import {
  conditionSpec,
  dressHero,
  HERO_BODIES,
  HERO_GROUND,
  HERO_OUTFITS,
  HERO_PARTS,
  HERO_POINTS,
  type OpenHeroes,
  openDataset,
} from "../../../src/data/index.ts";
import { imageOfSize } from "../../../src/data/sets/heroes/draw.ts";
import { drawOutfit } from "../../../src/data/sets/heroes/recipe.ts";
import { calibration } from "../../../src/metrics/calibration/calibrate.ts";
import { joinImages } from "../../../src/metrics/image-set.ts";
import { realImages } from "../../../src/metrics/real-images.ts";
import { seededRandom } from "../../../src/support/random.ts";
import { tinyColor, writeTinyFlare } from "./tiny-flare.ts";

const digest = (bytes: Uint8Array) => createHash("sha1").update(bytes).digest("hex");

describe("the heroes data set", () => {
  const folder = mkdtempSync(join(tmpdir(), "iqvae-heroes-"));
  beforeAll(async () => {
    vi.stubEnv("IQVAE_FLARE_GAME", folder);
    await writeTinyFlare(folder);
  });
  afterAll(() => {
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
  });
  const open = (request: Partial<OpenHeroes> = {}) =>
    openDataset({ name: "heroes", condition: "semantic", size: 64, count: 160, cacheDir: folder, ...request });
  const all = ({ train, validation }: Awaited<ReturnType<typeof open>>) =>
    new Map([train, validation].flatMap((part) => part.ids.map((id, i) => [id, part.batch([i])] as const)));

  it("shows every part where the map says, in colors of its garments, and tells nothing of the outfit", async () => {
    const dataset = await open();
    const seen = new Map<string, Set<string>>();
    for (const { images, conditions } of all(dataset).values()) {
      conditions.forEach((label, pixel) => {
        if (label === 0) return;
        const part = HERO_PARTS[label - 1]!;
        const color = images.subarray(3 * pixel, 3 * pixel + 3).join();
        seen.set(part, (seen.get(part) ?? new Set()).add(color));
      });
    }
    for (const part of HERO_PARTS) {
      const own = HERO_BODIES.flatMap((body) =>
        HERO_OUTFITS[body][part].map((_, i) => tinyColor(body, part, i).join()),
      );
      // Wider garments reach over their neighbors by a pixel, so other parts' colors are there as well.
      for (const color of own) expect([...seen.get(part)!], part).toContain(color);
    }
    // Eight directions and seven places, in two bodies of one shape.
    const pairs = [...all(dataset).values()];
    expect(new Set(pairs.map(({ conditions }) => digest(conditions))).size).toBeLessThanOrEqual(56);
    expect(new Set(pairs.map(({ images }) => digest(images))).size).toBe(pairs.length);
    dataset.close();
  });

  it("key points lie on the hero; sizes and kinds are pictures of one person", async () => {
    const [points, small, large] = [
      await open({ condition: "keypoints" }),
      await open({ size: 32 }),
      await open({ size: 128 }),
    ];
    for (const { condition } of [points, small]) {
      const data = { name: "heroes", condition: condition.kind, size: 64, count: 1 } as Config["data"];
      expect(conditionSpec(data)).toEqual(condition);
    }
    const [withPoints, withSmall, withLarge] = [all(points), all(small), all(large)];
    for (const [id, { images, conditions }] of withPoints) {
      for (let k = 0; k < HERO_POINTS.points.length; k++) {
        const [x, y, visible] = conditions.subarray(3 * k, 3 * k + 3);
        expect(visible, `${id} ${HERO_POINTS.points[k]}`).toBe(1);
        const pixel = Math.floor((y! / 256) * 64) * 64 + Math.floor((x! / 256) * 64);
        expect(images.subarray(3 * pixel, 3 * pixel + 3).join()).not.toBe(HERO_GROUND.join());
      }
      expect(digest(imageOfSize(images, 128))).toBe(digest(withLarge.get(id)!.images));
      expect(digest(imageOfSize(images, 32))).toBe(digest(withSmall.get(id)!.images));
    }
    for (const set of [points, small, large]) set.close();
  });

  it("is decided by its seed, and a smaller set begins a larger one", async () => {
    const [small, large, other] = [await open({ count: 20 }), await open({ count: 40 }), await open({ seed: 1 })];
    const many = all(large);
    for (const [id, pair] of all(small)) expect(many.get(id)).toEqual(pair);
    const others = all(other);
    expect([...others.keys()].every((id) => id.startsWith("hero-1-"))).toBe(true);
    const chestOf = ({ images, conditions }: ReturnType<typeof small.train.batch>) =>
      images[3 * conditions.indexOf(4) + 1];
    const garments = (set: typeof others, seed: number) =>
      Array.from({ length: 40 }, (_, i) => chestOf(set.get(`hero-${seed}-${i}`)!));
    expect(garments(others, 1)).not.toEqual(garments(many, 0));
    for (const set of [small, large, other]) set.close();
  });

  it("holds out poses of both bodies: no map is on both sides", async () => {
    const dataset = await open({ count: 1000 });
    const mapsOf = (split: typeof dataset.train) => {
      const { conditions } = split.batch([...Array(split.length).keys()]);
      return new Set(
        Array.from({ length: split.length }, (_, i) => digest(conditions.subarray(4096 * i, 4096 * (i + 1)))),
      );
    };
    expect(dataset.train.length).toBeGreaterThan(500);
    expect(dataset.validation.length).toBeGreaterThan(20);
    const train = mapsOf(dataset.train);
    expect([...mapsOf(dataset.validation)].filter((map) => train.has(map))).toEqual([]);
    expect(dataset.licenses).toMatchObject([{ package: "flare-game", version: "0.1-1", license: "CC-BY-SA-3.0+" }]);
    dataset.close();
  });

  it("dresses a hero anew, each garment equally likely, and changes nothing else", async () => {
    const dataset = await open();
    const [id] = dataset.train.ids;
    const [truth, map] = [dataset.train.batch([0]).images, dataset.train.batch([0]).conditions];
    const images = await dressHero(id!, 400, 64, seededRandom("clothes"));
    const counts = new Map<string, number>();
    const head = map.indexOf(5);
    const isMale = truth[3 * head + 2] === 60;
    for (let i = 0; i < 400; i++) {
      const image = images.subarray(i * truth.length, (i + 1) * truth.length);
      const color = image.subarray(3 * head, 3 * head + 3).join();
      counts.set(color, (counts.get(color) ?? 0) + 1);
    }
    const body = isMale ? "male" : "female";
    const heads = HERO_OUTFITS[body].head.map((_, i) => tinyColor(body, "head", i).join());
    expect([...counts.keys()].sort()).toEqual([...heads].sort());
    for (const count of counts.values()) {
      expect(count).toBeGreaterThan((400 / heads.length) * 0.55);
      expect(count).toBeLessThan((400 / heads.length) * 1.55);
    }
    await expect(dressHero("hand-0-3", 1, 32, seededRandom("clothes"))).rejects.toThrow(
      'dressHero("hand-0-3"): expected an id of the data set heroes, such as "hero-0-17".',
    );
    dataset.close();
  });

  it("the calibration reads the garments of true images, and catches one outfit for all", async () => {
    const dataset = await open();
    const ids = dataset.train.ids.slice(0, 3);
    const { own } = await realImages(dataset, ids, 200, 1);
    const { traits, mean } = await calibration(dataset.facts!.open!, ids, own!);
    expect(new Set(Object.keys(traits).map((name) => name.split(" ")[0]))).toEqual(new Set(HERO_PARTS));
    expect(mean.coverage).toBe(1);
    expect(mean.totalVariation).toBeLessThan(0.2);
    const same = ids.flatMap((_, c) => Array(8).fill(dataset.train.batch([c]).images) as Uint8Array[]);
    const stuck = await calibration(dataset.facts!.open!, ids, joinImages(same, 64));
    for (const [name, { totalVariation, coverage }] of Object.entries(stuck.traits)) {
      const modes = name === "head (female)" ? 7 : 8;
      expect(totalVariation, name).toBeCloseTo(1 - 1 / modes, 10);
      expect(coverage, name).toBeCloseTo(1 / modes, 10);
    }
    dataset.close();
  });

  it("garments are drawn independently of each other", () => {
    const random = seededRandom("outfits");
    const pairs = new Map<string, number>();
    for (let i = 0; i < 6400; i++) {
      const { chest, legs } = drawOutfit("female", random);
      pairs.set(`${chest} ${legs}`, (pairs.get(`${chest} ${legs}`) ?? 0) + 1);
    }
    expect(pairs.size).toBe(64);
    const chiSquare = [...pairs.values()].reduce((sum, count) => sum + (count - 100) ** 2 / 100, 0);
    // 63 degrees of freedom: 103 is passed once in a thousand times.
    expect(chiSquare).toBeLessThan(103);
  });

  it("asks for what is missing, and draws anew when a drawing changes", async () => {
    await expect(open({ condition: "edges" as "semantic" })).rejects.toThrow(
      'condition of heroes must be one of "keypoints", "semantic", not "edges".',
    );
    const other = mkdtempSync(join(tmpdir(), "iqvae-heroes-"));
    await writeTinyFlare(other);
    vi.stubEnv("IQVAE_FLARE_GAME", other);
    const drawings = join(other, "usr/share/games/flare/mods/fantasycore");
    const before = await open({ count: 8 });
    let drawn = 0;
    const again = { count: 8, onProgress: () => drawn++ };
    (await open(again)).close();
    expect(drawn).toBe(0);
    const helm = join(drawings, "animations/avatar/male/plate_helm.txt");
    writeFileSync(helm, readFileSync(helm, "utf8").replace("duration=800ms", "duration=900ms"));
    (await open(again)).close();
    expect(drawn).toBe(8);
    writeFileSync(helm, "image=images/avatar/male/leather_hood.png\nframe=0,0,0,0,1,1,0,0\n");
    await expect(open({ ...again, count: 200 })).rejects.toThrow(/^heroes: a layer has no drawing of the pose /);
    writeFileSync(helm, "image=images/avatar/male/leather_hood.png\nframe=0,0,9999,0,1,1,0,0\n");
    await expect(open({ count: 200 })).rejects.toThrow(
      `${helm} cannot be used for the data set heroes: its frame /0/0 is not within images/avatar/male/leather_hood.png. ` +
        "It must be as flare-game 1.14 has it.",
    );
    writeFileSync(join(drawings, "images/avatar/male/leather_hood.png"), "no picture");
    await expect(open({ count: 200 })).rejects.toThrow(/leather_hood\.png cannot be used for the data set heroes: /);
    rmSync(helm);
    await expect(open()).rejects.toThrow(`${helm} cannot be used for the data set heroes: ENOENT`);
    before.close();
    rmSync(other, { recursive: true });
    vi.stubEnv("IQVAE_FLARE_GAME", folder);
  });
});
