import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type ConditionSpec, readCondition } from "../../src/data/index.ts";

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
  await writeFile(path, typeof content === "string" ? content : JSON.stringify(content));
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

it.each<[unknown, ConditionSpec, string]>([
  [[[0.1, 0.2]], POINTS, "expected a list of 2 points (head, hand), got 1 entries."],
  [{}, POINTS, "expected a list of 2 points (head, hand), got no list."],
  [[[0.1, 2], null], POINTS, "point 0 (head) is [0.1,2], but must be [x, y] in 0 … 1 of the side, or null."],
  ["{", POINTS, "is no JSON file:"],
  [[{ class: "oak", box: [0, 0, 1, 1] }], LAYOUT, 'box 0 has the class "oak"; choose one of rose, pear.'],
  [[{ class: "rose", box: [0, 0, 1] }], LAYOUT, "box 0 is [0,0,1], but must be [left, top, width, height] in 0 … 1"],
  [[{ class: "rose", box: [0, 0, 0, 1] }], LAYOUT, "box 0 is [1, 0, 0, 0, 255], but a box is"],
  [[null], LAYOUT, "box 0 has the class undefined"],
  [{}, LAYOUT, "expected a list of boxes [ … ]."],
  [
    "a text that is too long",
    TEXT,
    'the text "a text that is too long" has 23 bytes, but 12 is the most here; shorten it.',
  ],
  ["no sound", { kind: "audio", bands: 4, frames: 4 }, "cannot be read: it does not begin with RIFF … WAVE"],
])("refuses %j", async (content, spec, message) => {
  await expect(read(content, spec)).rejects.toThrow(message);
});

it("says when there is no file", async () => {
  await expect(readCondition(join(folder, "none.json"), POINTS, 32)).rejects.toThrow(
    /readCondition\(".*none\.json"\): there is no such file that can be read\./,
  );
});
