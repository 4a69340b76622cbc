import { statSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { textOf } from "../../src/conditions/index.ts";
import { type ConditionSpec, type OpenImport, readCondition } from "../../src/data/index.ts";
import { palettePng } from "../media/files.ts";
import { importOf, pairsOf, png, tree, wav } from "./import/trees.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "iqvae-condition-"));
});
afterAll(() => rm(folder, { recursive: true }));

const POINTS = { kind: "keypoints", points: ["head", "hand"], bones: [] } as const;
const LAYOUT = {
  kind: "layout",
  classes: [
    { name: "rose", color: [1, 2, 3] },
    { name: "pear", color: [4, 5, 6] },
  ],
  boxes: 2,
} as const;
const TEXT = { kind: "text", length: 12 } as const;

async function read(content: unknown, spec: ConditionSpec): Promise<number[]> {
  const path = join(folder, "condition.json");
  await writeFile(path, typeof content === "string" || Buffer.isBuffer(content) ? content : JSON.stringify(content));
  return [...(await readCondition(path, spec, 32))];
}

it("reads points, hidden ones too", async () => {
  expect(await read([[0.2, 1], null], POINTS)).toEqual([51, 255, 1, 0, 0, 0]);
});

it("reads boxes in any order, by the names of their classes", async () => {
  const boxes = [
    { class: "pear", box: [0, 0, 0.2, 0.2] },
    { class: "rose", box: [0.502, 0.4, 0.5, 0.2] },
  ];
  expect(await read(boxes, LAYOUT)).toEqual([1, 128, 102, 127, 51, 2, 0, 0, 51, 51]);
});

it("reads a text from a file, or takes it as it is", async () => {
  expect(await read("red rose\n", TEXT)).toEqual([...Buffer.from("red rose"), 0, 0, 0, 0]);
  expect([...(await readCondition("red pear", TEXT, 32))]).toEqual([...Buffer.from("red pear"), 0, 0, 0, 0]);
});

it("takes a word as a text where a folder is called so, and the name of a text file never", async () => {
  const word = await readCondition("packages", TEXT, 32);
  expect([statSync("packages").isDirectory(), textOf(word)]).toEqual([true, "packages"]);
  await expect(readCondition("none.TXT", TEXT, 32)).rejects.toThrow("none.TXT cannot be read: there is no such file.");
});

it.each<[unknown, ConditionSpec, string]>([
  [[[0.1, 0.2]], POINTS, "must be a list of 2 points (head, hand), but is a list of 1"],
  [{}, POINTS, "must be a list of 2 points (head, hand), but is not a list"],
  [[[0.1, 2], null], POINTS, "point 0 (head) is [0.1,2], but must be [x, y] in 0 … 1 of the picture, or null."],
  ["{", POINTS, "is not valid JSON:"],
  [[{ class: "oak", box: [0, 0, 1, 1] }], LAYOUT, 'box 0 has the class "oak"; there are rose, pear.'],
  [[{ class: "rose", box: [0, 0, 1] }], LAYOUT, "box 0 is [0,0,1], but must be [left, top, width, height] in 0 … 1"],
  [
    [{ class: "rose", box: [0, 0, 0, 1] }],
    LAYOUT,
    "box 0 is [0,0,0,1], but must be [left, top, width, height] in 0 … 1",
  ],
  [[{ class: "rose", box: [0.9, 0, 0.9, 1] }], LAYOUT, "of 1 boxes 1 lie mostly outside"],
  [[null], LAYOUT, 'box 0 must be { "class": name, "box": [ … ] }'],
  [{}, LAYOUT, "must be a list of boxes"],
  [
    "a text that is too long",
    TEXT,
    'the text "a text that is too long" has 23 bytes, but 12 is the most here; shorten it.',
  ],
  [Buffer.from([0x61, 0xe4, 0x62]), TEXT, "condition.json is not UTF-8 text"],
  [Buffer.from('[[0.5, 0.5], "\xe4"]', "latin1"), POINTS, "condition.json is not UTF-8 text"],
  ["no sound", { kind: "audio", bands: 4, frames: 4 }, "cannot be read: it does not begin with RIFF … WAVE"],
])("refuses %j", async (content, spec, message) => {
  await expect(read(content, spec)).rejects.toThrow(message);
});

it("says when there is no file", async () => {
  await expect(readCondition(join(folder, "none.json"), POINTS, 32)).rejects.toThrow(
    /none\.json cannot be read: there is no such file\./,
  );
});

it("refuses a text that is not Unicode, or was not UTF-8 where it came from", async () => {
  await expect(readCondition("caf\ufffd", TEXT, 32)).rejects.toThrow("U+FFFD, which stands for what is not UTF-8");
  await expect(readCondition("a\ud83d", TEXT, 32)).rejects.toThrow("half a surrogate pair");
  const long = "a text ".repeat(1e5);
  await expect(readCondition(long, TEXT, 32)).rejects.toThrow(`"${long.slice(0, 80)}…" has 699999 bytes, but 12 is`);
});

it("reads a text without its byte-order mark", async () => {
  expect(await read("\ufeffrose", TEXT)).toEqual([...Buffer.from("rose"), ...Array(8).fill(0)]);
});

describe("reads what an import reads of the same file, byte for byte", () => {
  const classes = Array.from({ length: 4 }, (_, i) => ({ name: `class ${i}`, color: [i, 50 * i, 9] as const }));
  const labels = Array.from({ length: 32 }, (_, y) => Array.from({ length: 32 }, (_, x) => (x * y) % 4));
  const black = palettePng(
    labels,
    [0, 1, 2, 3].map(() => [0, 0, 0] as const),
  );
  const drawing = png(32, 32, (x, y) => (x === y ? [255, 0, 0] : [255, 255, 255]));
  const boxes = JSON.stringify([
    { class: "class 3", box: [0.303, 0.117, 0.304, 0.508] },
    { class: "class 1", box: [0.5, 0.25, 0.5, 0.75] },
  ]);
  const points = JSON.stringify([[0.1234, 0.9], null]);

  it.each<[string, string | Buffer | Promise<Buffer>, object]>([
    ["png", black, { condition: "semantic", classes: classes.map(({ name }) => name) }],
    ["png", drawing, { condition: "lines" }],
    ["json", boxes, { condition: "layout", classes: classes.map(({ name }) => name), boxes: 3 }],
    ["json", points, { condition: "keypoints", points: ["a", "b"] }],
    ["txt", " a caf\u00e9\n", { condition: "text", length: 20 }],
    ["wav", wav(440), { condition: "audio", bands: 8, frames: 8 }],
  ])("%s", async (ending, content, over) => {
    const image = await png(32, 32, () => [1, 2, 3]);
    const names = Array.from({ length: 12 }, (_, i) => String(i));
    const files = await content;
    const path = tree(
      Object.fromEntries(
        names.flatMap((n) => [
          [`image/${n}.png`, image],
          [`condition/${n}.${ending}`, files],
        ]),
      ),
    );
    const { dataset } = await importOf({ name: "folder", path, size: 32, ...over } as OpenImport);
    expect(dataset.report!.problems).toEqual([]);
    const read = await readCondition(join(path, `condition/0.${ending}`), dataset.condition, 32);
    expect(read).toEqual(pairsOf(dataset).get("0")!.condition);
    expect(new Set(read).size).toBeGreaterThan(1);
    dataset.close();
  });
});
