import { appendFileSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { textOf } from "../../../src/conditions/index.ts";
import { type OpenImport, openDataset } from "../../../src/data/index.ts";
import type { OnProgress } from "../../../src/data/recipe.ts";
import { temporaryFolder } from "../../run/support.ts";
import { importOf, jpeg, pairsOf, png, put, tree, wav } from "./trees.ts";

const RED = [200, 30, 30];
const GREEN = [30, 200, 30];

const names = Array.from({ length: 24 }, (_, i) => `s${i}`);

/** The left half is class 0, the right half class 2; with an offset by pair, so that maps differ. */
const half = (i: number, side: number) => (x: number) => x < side / 2 + (i % 5) - 2;

async function pictures(side = 64): Promise<Record<string, Buffer>> {
  const entries = names.map(async (name, i) => {
    const left = half(i, side);
    return [`image/${name}.png`, await png(side, side, (x) => (left(x) ? RED : GREEN))] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

async function conditions(ending: string, content: (i: number) => Promise<string | Buffer> | string | Buffer) {
  const entries = names.map(async (name, i) => [`condition/${name}.${ending}`, await content(i)] as const);
  return Object.fromEntries(await Promise.all(entries));
}

const request = (path: string, over: object): OpenImport => ({ name: "folder", path, size: 32, ...over }) as OpenImport;

describe("semantic maps", () => {
  const classes = ["left", "middle", "right"];
  const colored = [
    { name: "left", color: "#102030" },
    { name: "middle", color: "#405060" },
    { name: "right", color: "#f0e0d0" },
  ];
  const COLORS = [
    [0x10, 0x20, 0x30],
    [0xf0, 0xe0, 0xd0],
  ] as const;

  test.each([
    ["gray numbers", classes, (i: number) => png(64, 64, (x) => [half(i, 64)(x) ? 0 : 2])],
    ["colors", colored, (i: number) => png(64, 64, (x) => (half(i, 64)(x) ? COLORS[0] : COLORS[1]))],
    [
      "colors in a palette",
      colored,
      (i: number) => png(64, 64, (x) => (half(i, 64)(x) ? COLORS[0] : COLORS[1]), { palette: true }),
    ],
    ["colors, half the size", colored, (i: number) => png(32, 32, (x) => (half(i, 64)(2 * x) ? COLORS[0] : COLORS[1]))],
  ] as const)("%s", async (_, classes, map) => {
    const path = tree({ ...(await pictures()), ...(await conditions("png", map)) });
    const { dataset, said } = await importOf(request(path, { condition: "semantic", classes }));
    expect(dataset.report).toMatchObject({ data: "folder", path, problems: [] });
    expect(dataset.train.length + dataset.validation.length).toBe(24);
    expect(dataset.validation.length).toBeGreaterThan(0);
    expect(said).toEqual([expect.stringMatching(/^folder from .*: \d+ pairs for training, \d+ held out; nothing/)]);
    const { image, condition } = pairsOf(dataset).get("s2")!;
    expect([...condition.subarray(0, 32)]).toEqual([...Array(16).fill(0), ...Array(16).fill(2)]);
    // Image and map agree where they are.
    for (const at of [5, 13, 18, 40, 1000]) expect(image[3 * at]! > 120).toBe(condition[at] === 0);
    dataset.close();
  });

  test("a palette's indices count where classes have no colors", async () => {
    // Index 0 is black, 1 dark red, 2 dark green, as in PASCAL VOC; written by hand, since sharp sorts palettes.
    const indexed = readFileSync(new URL("palette-3.png", import.meta.url));
    const path = tree({ ...(await pictures(8)), ...(await conditions("png", () => indexed)) });
    const { dataset } = await importOf(request(path, { condition: "semantic", classes }));
    const { conditions: maps } = dataset.train.batch([0]);
    const row = [0, 8, 16, 24].map((x) => maps[x]);
    expect(row).toEqual([0, 1, 2, 2]);
    dataset.close();
  });
});

test("every kind of problem is named and counted, and the rest goes on", async () => {
  const path = tree({
    ...(await pictures()),
    ...(await conditions("png", (i) => png(64, 64, (x) => [half(i, 64)(x) ? 0 : 1]))),
    "condition/s0.png": await png(64, 64, () => [7]),
    "condition/s1.png": await png(64, 64, () => [1, 2, 3]),
    "condition/s2.png": await png(64, 32, () => [0]),
    "condition/s3.png": (await png(64, 64, (x, y) => [(x * y) % 2])).subarray(0, 80),
    "image/s4.png": "no picture",
    "image/s5.jpg": await jpeg(64, 64, () => RED),
    "image/lonely.png": await png(64, 64, () => RED),
    "condition/alone.png": await png(64, 64, () => [0]),
    "condition/Thumbs.db": "not looked at",
    "image/.hidden.png": "not looked at",
  });
  rmSync(join(path, "condition/s6.png"));
  const cacheDir = temporaryFolder();
  const ask = { ...request(path, { condition: "semantic", classes: ["a", "b"] }), cacheDir } as OpenImport;
  const { dataset, said } = await importOf(ask);
  const { train, validation, problems } = dataset.report!;
  expect(train + validation).toBe(24 - 7);
  expect(dataset.train.length).toBe(train);
  const found = Object.fromEntries(
    problems.map(({ kind, count, named }) => [kind, [count, ...named.map((n) => n.pair)]]),
  );
  expect(found).toEqual({
    "ambiguous partner": [1, "s5"],
    "corrupt file": [2, "s3", "s4"],
    "missing partner": [3, "alone", "lonely", "s6"],
    "size mismatch": [1, "s2"],
    "unknown class or color": [2, "s0", "s1"],
  });
  expect(said[0]).toContain(
    "9 left out:\n  missing partner: 3\n    alone: condition/alone.png has no partner in image/",
  );
  expect(said[0]).toContain("s0.png holds 7 at x = 0, y = 0, but there are 2 classes, 0 (a) to 1 (b)");
  expect(said[0]).toContain("s2.png has 64 × 32 pixels, but ");
  expect(pairsOf(dataset).has("s3")).toBe(false);
  // The pixels of each name are still its own.
  for (const [id, { condition }] of pairsOf(dataset)) {
    const i = Number(id.slice(1));
    expect(condition.subarray(0, 32).filter((label) => label === 0)).toHaveLength(Math.floor((30 + (i % 5)) / 2));
  }
  dataset.close();

  // It is kept, and said again; but the second time nothing is drawn, and files so new are looked at whole again.
  const onProgress: OnProgress = (_done, _total, task) => expect(task).toBe("checking");
  const again = await importOf({ ...ask, onProgress } as OpenImport);
  expect(again.said).toEqual(said);
  expect(again.dataset.report).toEqual(dataset.report);
  expect(again.dataset.train.ids).toEqual(dataset.train.ids);
  again.dataset.close();

  // Another file makes it another data set.
  put(path, { "condition/lonely.png": await png(64, 64, () => [0]) });
  const more = await importOf(ask);
  expect(more.dataset.train.length + more.dataset.validation.length).toBe(18);
  more.dataset.close();
});

test("lines that are thin in a large drawing stay", async () => {
  const drawing = () => png(256, 256, (x) => (x === 100 ? [0] : [255]));
  const path = tree({ ...(await pictures(256)), ...(await conditions("png", drawing)) });
  const { dataset } = await importOf(request(path, { condition: "lines" }));
  const { conditions: drawn } = dataset.train.batch([0]);
  for (const y of [0, 15, 31]) {
    const inked = [...drawn.subarray(32 * y, 32 * y + 32).keys()].filter((x) => drawn[32 * y + x] === 1);
    expect(inked.length).toBeGreaterThanOrEqual(1);
    expect(inked.length).toBeLessThanOrEqual(2);
    expect(inked).toContain(12);
  }
  dataset.close();
});

test("texts", async () => {
  const path = tree({
    ...(await pictures()),
    ...(await conditions("txt", (i) => ` A red and a Grün part, ${i}\n`)),
    "condition/s0.txt": " \n",
    "condition/s1.txt": "long ".repeat(30),
    "condition/s2.txt": Buffer.from([0x61, 0xff, 0xfe]),
    "condition/s3.txt": "a zero \0 inside",
  });
  const { dataset } = await importOf(request(path, { condition: "text", length: 64 }));
  expect(dataset.report!.problems.map(({ kind, count }) => [kind, count])).toEqual([
    ["bad annotation", 2],
    ["corrupt file", 1],
    ["text too long", 1],
  ]);
  expect(textOf(pairsOf(dataset).get("s7")!.condition)).toBe("A red and a Grün part, 7");
  dataset.close();

  const { dataset: small } = await importOf(request(path, { condition: "text", length: 64, lowercase: true }));
  expect(small.condition).toEqual({ kind: "text", length: 64, lowercase: true });
  expect(textOf(pairsOf(small).get("s7")!.condition)).toBe("a red and a grün part, 7");
  small.close();
});

test("sounds", async () => {
  const path = tree({
    ...(await pictures()),
    ...(await conditions("wav", (i) => wav(300 + 100 * i))),
    "condition/s0.wav": wav(500).subarray(0, 1000),
    "condition/s1.wav": "RIFF",
    "condition/s2.mp3": Buffer.from([0xff, 0xfb, 0x90, 0x00, 1, 2, 3, 4]),
  });
  rmSync(join(path, "condition/s2.wav"));
  const { dataset } = await importOf(request(path, { condition: "audio", bands: 32, frames: 16 }));
  const { problems } = dataset.report!;
  expect(problems.map(({ kind, count }) => [kind, count])).toEqual([["bad annotation", 3]]);
  expect(problems[0]!.named[2]!.reason).toMatch(
    /s2\.mp3 cannot be read: .* Expected a whole WAV file .*; convert others, MP3 too: ffmpeg -i sound\.mp3 sound\.wav$/,
  );
  const loudest = (id: string) => pairsOf(dataset).get(id)!.condition.indexOf(255);
  expect(loudest("s20")).toBeGreaterThan(loudest("s3"));
  dataset.close();
});

test("key points of a wide picture follow the cut to its middle", async () => {
  const wide = await png(96, 64, () => RED);
  const images = Object.fromEntries(names.map((name) => [`image/${name}.png`, wide]));
  const points = [[0.5, 0.5], [0, 0], null];
  const path = tree({
    ...images,
    ...(await conditions("json", () => JSON.stringify(points))),
    "condition/s0.json": "[[0.5, 0.5]]",
    "condition/s1.json": '[[0.5, 2], null, "x"]',
    "condition/s2.json": "{",
  });
  const { dataset } = await importOf(request(path, { condition: "keypoints", points: ["a", "b", "c"] }));
  expect([...pairsOf(dataset).get("s5")!.condition]).toEqual([128, 128, 1, 0, 0, 0, 0, 0, 0]);
  expect(dataset.report!.problems.map(({ kind, count }) => [kind, count])).toEqual([
    ["bad annotation", 2],
    ["corrupt file", 1],
  ]);
  dataset.close();
});

test("boxes of a wide picture follow the cut to its middle", async () => {
  const wide = await png(96, 64, () => RED);
  const images = Object.fromEntries(names.map((name) => [`image/${name}.png`, wide]));
  const boxes = [
    { class: "b", box: [0, 0, 0.5, 0.5] },
    { class: "a", box: [0.5, 0.5, 0.25, 0.25] },
    { class: "a", box: [0, 0, 0.17, 1] },
  ];
  const path = tree({
    ...images,
    ...(await conditions("json", () => JSON.stringify(boxes))),
    "condition/s0.json": '[{ "class": "c", "box": [0, 0, 1, 1] }]',
    "condition/s1.json": "[]",
    "condition/s2.json": '[{ "class": "a", "box": [0, 0, 0, 1] }]',
    "condition/s3.json": '{ "class": "a" }',
  });
  const { dataset } = await importOf(request(path, { condition: "layout", classes: ["a", "b"], boxes: 2 }));
  // In pixels of the middle square, 64 wide, from column 16 on: a at 32, 32, 24 × 16; b at 0, 0, 32 × 32.
  expect([...pairsOf(dataset).get("s5")!.condition]).toEqual([1, 128, 128, 95, 63, 2, 0, 0, 128, 128]);
  expect(Object.fromEntries(dataset.report!.problems.map(({ kind, count }) => [kind, count]))).toEqual({
    "bad annotation": 2,
    "too few or too many objects": 1,
    "unknown class or color": 1,
  });
  dataset.close();
});

describe("what is no such folder", () => {
  test("no folder at all", async () => {
    const ask = request("/nowhere", { condition: "lines" });
    await expect(openDataset(ask)).rejects.toThrow(
      "/nowhere/image is not there. Give the folder of the data set that holds image/.",
    );
  });

  test("nothing that can be used: the reasons, and no file is left", async () => {
    const path = tree({ "image/a.png": "no picture", "condition/a.png": "neither", "image/b.png": "lonely" });
    const cacheDir = temporaryFolder();
    const ask = { ...request(path, { condition: "lines" }), cacheDir } as OpenImport;
    await expect(openDataset(ask)).rejects.toThrow(
      /folder from .*: no pair can be used\. What is wrong:\n {2}corrupt file: 1\n {4}a: .*image\/a\.png is not a whole image/,
    );
    expect(readdirSync(cacheDir)).toEqual([]);
  });

  test("no files", async () => {
    const path = tree({});
    for (const name of ["image", "condition"]) mkdirSync(join(path, name));
    await expect(
      openDataset({ ...request(path, { condition: "lines" }), cacheDir: path } as OpenImport),
    ).rejects.toThrow("no pair can be used. No file of that layout was found.");
  });

  test.each([
    [{ condition: "semantic" }, /folder cannot be read: classes: Invalid input/],
    [{ condition: "lines", size: 33 }, /folder cannot be read: size/],
    [{ condition: "smell" }, /folder cannot be read: condition/],
    [{ condition: "layout", classes: ["a", "b", "a"] }, /classes: has 'a' twice/],
    [
      {
        condition: "semantic",
        classes: [
          { name: "a", color: "#aa0000" },
          { name: "b", color: "#00bb00" },
          { name: "c", color: "#AA0000" },
        ],
      },
      /classes: has several classes of the color #aa0000/,
    ],
    [{ condition: "lines", color: 1 }, /folder cannot be read: folder: Unrecognized key: "color"/],
  ])("a request with %j", async (over, message) => {
    await expect(openDataset(request("/nowhere", over))).rejects.toThrow(message);
  });
});

test("a damaged cache file is drawn anew, and says so", async () => {
  const path = tree({
    ...(await pictures()),
    ...(await conditions("png", () => png(64, 64, (x) => [x > 5 ? 255 : 0]))),
    "condition/s9.png": "none",
  });
  const cacheDir = temporaryFolder();
  const ask = { ...request(path, { condition: "edges" }), cacheDir } as OpenImport;
  const { dataset } = await importOf(ask);
  dataset.close();
  const file = readdirSync(cacheDir).find((name) => name.endsWith(".pairs"))!;
  // Longer than the tail, and no length that a file could have.
  appendFileSync(join(cacheDir, file), Buffer.alloc(64, 0xff));
  const { dataset: again, said } = await importOf(ask);
  expect(said[0]).toMatch(/cannot be used: it is cut off, or its end is damaged/);
  expect(pairsOf(again)).toEqual(
    pairsOf(await importOf({ ...ask, cacheDir: temporaryFolder() }).then((it) => it.dataset)),
  );
  again.close();
});
