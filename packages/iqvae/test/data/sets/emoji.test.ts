import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { colorEdges } from "@iqvae/runtime";
import { describe, expect, it } from "vitest";
import { openDataset } from "../../../src/data/index.ts";
import { conceptOfName, emojiIcons, isConceptHeldOut } from "../../../src/data/sets/emoji/concepts.ts";

describe("emoji concepts", () => {
  it.each([
    ["woman-artist", "artist"],
    ["man-running-facing-right", "running"],
    ["person-bald", "bald"],
    ["pregnant-man", "pregnant-person"],
    ["women-wrestling", "wrestling"],
    ["merman", "merperson"],
    ["family-man-woman-girl", "family"],
    ["light-blue-heart", "heart"],
    ["mango", "mango"],
    ["snowman", "snowman"],
    ["red-apple", "red-apple"],
  ])("%s is %s", (name, concept) => expect(conceptOfName(name)).toBe(concept));

  it("keeps what at least three vendors draw, on one side of the split with all its vendors", () => {
    const icons = emojiIcons();
    const concepts = new Map<string, Set<string>>();
    for (const { concept, vendor } of icons) concepts.set(concept, (concepts.get(concept) ?? new Set()).add(vendor));
    expect([...concepts.values()].every((of) => of.size >= 3)).toBe(true);
    expect(concepts.size).toBeGreaterThan(1200);
    const held = [...concepts.keys()].filter(isConceptHeldOut).length;
    expect(held / concepts.size).toBeGreaterThan(0.06);
    expect(held / concepts.size).toBeLessThan(0.14);
  });

  it("drops signs, skin tones and exact duplicates", () => {
    const icons = emojiIcons();
    const dropped =
      /skin-tone|(^|-)flags?(-|$)|keycap|oclock|thirty|-button|^(up|down|left|right)-arrow|-(dark|light)$/;
    expect(icons.filter(({ name }) => dropped.test(name)).map(({ name }) => name)).toEqual([]);
    expect(new Set(icons.map(({ vendor, body }) => vendor + body)).size).toBe(icons.length);
    expect(icons.some(({ name }) => name === "bow-and-arrow")).toBe(true);
  });
});

describe("the emoji data set", () => {
  it("draws every icon on white with its edges, splits by concept, and says whose drawings they are", async () => {
    const cacheDir = await mkdtemp(join(tmpdir(), "iqvae-emoji-"));
    const dataset = await openDataset({ name: "emoji", condition: "edges", size: 32, cacheDir });
    const conceptsOf = (ids: readonly string[]) => new Set(ids.map((id) => id.split("/")[0]!));
    const train = conceptsOf(dataset.train.ids);
    const validation = conceptsOf(dataset.validation.ids);
    expect([...validation].filter((concept) => train.has(concept))).toEqual([]);
    expect(dataset.train.length).toBeGreaterThan(5000);
    expect(dataset.validation.length).toBeGreaterThan(400);

    const { images, conditions } = dataset.validation.batch([...Array(dataset.validation.length).keys()]);
    expect(conditions.every((value) => value <= 1)).toBe(true);
    for (let i = 0; i < dataset.validation.length; i++) {
      const image = images.subarray(i * 3072, (i + 1) * 3072);
      const edges = conditions.subarray(i * 1024, (i + 1) * 1024);
      expect(colorEdges(image, 32), dataset.validation.ids[i]!).toEqual(edges);
      expect([image[0], image[1], image[2]], dataset.validation.ids[i]!).toEqual([255, 255, 255]);
    }
    expect(dataset.licenses.map(({ license }) => license)).toEqual([
      "CC-BY-SA-4.0",
      "CC-BY-4.0",
      "Apache-2.0",
      "MIT",
      "CC-BY-4.0",
    ]);
    dataset.close();
    await rm(cacheDir, { recursive: true });
  });
});

describe("colorEdges", () => {
  const size = 24;
  const paint = (color: (x: number, y: number) => readonly [number, number, number]) =>
    Uint8Array.from({ length: size * size * 3 }, (_, i) => {
      const at = Math.floor(i / 3);
      return color(at % size, Math.floor(at / size))[i % 3]!;
    });

  it("finds nothing in one color", () => {
    expect(
      colorEdges(
        paint(() => [10, 200, 90]),
        size,
      ).some(Boolean),
    ).toBe(false);
  });

  it.each([
    ["black and white", [0, 0, 0], [255, 255, 255]],
    ["two colors of one brightness", [255, 0, 0], [0, 130, 0]],
  ] as const)("draws one thin line between %s, across and down", (_, a, b) => {
    const across = colorEdges(
      paint((x) => (x < 10 ? a : b)),
      size,
    );
    const down = colorEdges(
      paint((_x, y) => (y < 10 ? a : b)),
      size,
    );
    for (let i = 0; i < size; i++) {
      const row = [...across.subarray(i * size, (i + 1) * size)];
      expect(row.filter(Boolean)).toHaveLength(1);
      expect([9, 10]).toContain(row.indexOf(1));
      expect(Array.from({ length: size }, (_, y) => down[y * size + i]).filter(Boolean)).toHaveLength(1);
    }
  });

  it("closes the outline of a disc", () => {
    const edges = colorEdges(
      paint((x, y) => (Math.hypot(x - 11.3, y - 12.1) < 7 ? [200, 30, 30] : [255, 255, 255])),
      size,
    );
    // Water poured into the middle does not run out: it reaches no border.
    const wet = new Set([12 * size + 11]);
    for (const at of wet) {
      for (const next of [at - 1, at + 1, at - size, at + size]) if (!edges[next]) wet.add(next);
    }
    expect(wet.size).toBeGreaterThan(80);
    expect(wet.size).toBeLessThan(170);
  });
});
