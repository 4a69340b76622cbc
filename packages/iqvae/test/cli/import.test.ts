import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { png, put } from "../data/import/trees.ts";
import { Workspace } from "./program.ts";

const workspace = new Workspace();
afterAll(() => workspace.remove());

const names = Array.from({ length: 24 }, (_, i) => `s${i}`);
const semantic = { name: "folder", path: "own", size: 32, condition: "semantic", classes: ["sky", "sea"] };

/** A configuration file with these data. */
function configured(file: string, data: object): string {
  writeFileSync(workspace.at(file), JSON.stringify({ preset: "tiny", name: "own", data }));
  return file;
}

beforeAll(async () => {
  const image = await png(64, 64, (x) => (x < 32 ? [200, 30, 30] : [30, 30, 200]));
  const map = await png(64, 64, (x) => [x < 32 ? 0 : 1]);
  const files = names.flatMap((name) => [
    [`image/${name}.png`, image] as const,
    [`condition/${name}.png`, map] as const,
  ]);
  put(workspace.at("own"), Object.fromEntries(files));
});

describe("import", () => {
  test("reads a folder that a configuration names, says what it found, and draws it", async () => {
    const { code, out, err } = await workspace.command(
      "import",
      configured("own.json", semantic),
      "--out",
      "sheet.png",
    );
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatch(/folder from .*own: 20 pairs for training, 4 held out; nothing was left out\.\n/);
    expect(out).toMatch(/20 pairs for training, 4 held out\. Some of them: sheet\.png\n$/);
    const { data, info } = await sharp(workspace.at("sheet.png")).raw().toBuffer({ resolveWithObject: true });
    expect(info.width).toBe(12 * 132 + 4);
    // The pictures are there, not only their frames.
    const isRed = (at: number) => data[at] === 200 && data[at + 1] === 30;
    expect(Array.from({ length: info.width * info.height }, (_, i) => i * info.channels).some(isRed)).toBe(true);
  });

  test("names and counts what is broken, for machines too, and goes on with the rest", async () => {
    const broken = { ...semantic, path: "broken" };
    const image = readFileSync(workspace.at("own/image/s0.png"));
    const map = readFileSync(workspace.at("own/condition/s0.png"));
    const files = names.map((name) => [`image/${name}.png`, image] as const);
    const maps = names.map((name) => [`condition/${name}.png`, map] as const);
    put(workspace.at("broken"), {
      ...Object.fromEntries([...files, ...maps]),
      "image/s0.png": image.subarray(0, image.length / 2),
      "condition/s1.png": await png(64, 64, () => [7]),
      "condition/s2.png": "no picture",
    });
    rmSync(join(workspace.at("broken"), "condition/s3.png"));

    const { code, out, err } = await workspace.command("import", configured("broken.json", broken), "--json");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    const last = JSON.parse(out.trimEnd().split("\n").at(-1)!) as Record<string, unknown>;
    expect(last).toMatchObject({ event: "imported", name: "folder", path: "data-folder.png" });
    expect(Number(last.train) + Number(last.validation)).toBe(20);
    expect(last.problems).toEqual([
      { kind: "corrupt file", count: 2, named: [named("s0"), named("s2")] },
      { kind: "missing partner", count: 1, named: [named("s3")] },
      { kind: "unknown class or color", count: 1, named: [named("s1")] },
    ]);

    const text = await workspace.command("import", configured("broken.json", { ...broken, size: 64 }));
    expect(text.out).toContain("4 left out:\n  corrupt file: 2\n    s0: ");
    expect(text.out).toContain("s1.png holds 7 at x = 0, y = 0, but there are 2 classes, 0 (sky) to 1 (sea)");
  });

  test("says what was left out when the pairs come from the cache, too", async () => {
    const put = (await workspace.command("import", "broken.json")).out;
    const again = (await workspace.command("import", "broken.json")).out;
    // Before it comes what was done how fast: a slow machine says so of files that are only checked.
    const [found, kept] = [put, again].map((out) => out.slice(out.indexOf("folder from")));
    expect([found, again]).toEqual([kept, expect.not.stringMatching(/^drawing /m)]);
    expect(put).toContain("4 left out:\n  corrupt file: 2\n    s0: ");
    // Files are named within the folder, which may lie elsewhere by now.
    expect(put.slice(put.indexOf("left out"))).not.toContain("broken/");
    expect(put).toContain(`s0: ${join("image", "s0.png")}`);
  });

  const named = (pair: string) => ({ pair, reason: expect.stringContaining(`${pair}.png`) });

  test("reads a public layout from its folder, at 64 pixels or the size that is asked for", async () => {
    const image = readFileSync(workspace.at("own/image/s0.png"));
    put(workspace.at("pictures"), Object.fromEntries(names.map((name) => [`${name}.png`, image])));
    for (const [asked, side] of [
      [["--size", "256"], 256],
      [[], 64],
    ] as const) {
      const { code, out } = await workspace.command("import", "images", "pictures", ...asked);
      expect(code).toBe(0);
      expect(out).toMatch(/pairs for training, \d+ held out\. Some of them: data-images\.png\n$/);
      expect(readdirSync(workspace.at("cache")).join()).toMatch(new RegExp(`images-\\w+-${side}-\\w+\\.pairs`));
    }
  });

  test.each<[string, string[], string | RegExp]>([
    ["an unknown layout", ["ade20", "own"], "There is no layout 'ade20'; did you mean 'ade20k'?\n"],
    ["a folder beside a configuration", ["own.json", "elsewhere"], /^own\.json .* leave out elsewhere/],
    [
      "a size beside a configuration",
      ["own.json", "--size", "64"],
      /^own\.json .*, or give --set data\.size=64 in its place/,
    ],
    ["a folder beside a preset", ["paper-cub", "elsewhere"], /^paper-cub .* leave out elsewhere/],
    ["a folder in the place of a configuration", ["own"], /^own is a folder/],
    [
      "neither a layout nor a configuration",
      ["ade20"],
      /^'ade20' is neither a preset nor a file; choose one of start, /,
    ],
    ["a layout without its folder", ["ade20k"], "Say where ade20k lies: npx iqvae import ade20k FOLDER\n"],
    [
      "a folder of pairs without a configuration",
      ["folder", "own"],
      /^A folder of pairs needs a configuration, .*FILE\.json/,
    ],
    [
      "a layout that the folder does not have",
      ["ade20k", "own"],
      /own\/images is not there\. Give the folder of the data set that holds images\//,
    ],
    ["a folder of which no layout is said", ["own"], /^own is a folder\..* import LAYOUT own\..*FILE\.json/],
    ["no folder of pictures", ["images", "nowhere"], /nowhere is not there\. Give the folder of the data set\.\n$/],
    ["no folder of people", ["deepfashion", "nowhere"], /nowhere is not there\. Give the folder of the data set\.\n$/],
    ["data that are built in", ["tiny"], "The data of tiny are built in; look at them with: npx iqvae data faces\n"],
    ["a setting of a layout", ["images", "own", "--set", "data.size=32"], /^--set data\.size=32 is for configurations/],
    ["another size", ["images", "own", "--size", "33"], /^images cannot be read: size: .*32\|64\|128\|256\.\n$/],
  ])("refuses %s", async (_, args, message) => {
    const { code, out, err } = await workspace.command("import", ...args);
    expect({ code, out }).toEqual({ code: 1, out: "" });
    if (typeof message === "string") expect(err).toBe(message);
    else expect(err).toMatch(message);
    expect(err).not.toMatch(/\n\s+at /);
  });

  test("lists no layout that it refuses", async () => {
    const { out } = await workspace.command("import", "--help");
    expect(out).toMatch(/one of images, ade20k/);
  });

  test("refuses a configuration whose data are wrong, and one that is no JSON", async () => {
    const wrong = configured("wrong.json", { ...semantic, classes: [] });
    expect((await workspace.command("import", wrong)).err).toMatch(/data\.classes/);
    writeFileSync(workspace.at("cut.json"), '{ "preset": "tiny", "da');
    const { code, err } = await workspace.command("import", "cut.json");
    expect({ code, err }).toEqual({ code: 1, err: expect.stringMatching(/^cut\.json is not valid JSON/) });
  });

  test("train needs a pair to train on and one that is held out", async () => {
    const { code, err } = await workspace.command("train", "tiny", "--name", "one", "--set", "data.count=1");
    expect(code).toBe(1);
    expect(err).toMatch(/^faces has 1 pair to train on and 0 held out, .*Raise data\.count\.\n$/);
  });

  test("says of one pair that it is one, and what is missing", async () => {
    put(workspace.at("single"), { "a.png": readFileSync(workspace.at("own/image/s0.png")) });
    const { code, err } = await workspace.command("import", "images", "single");
    expect(code).toBe(1);
    expect(err).toMatch(/ 1 pair to train on, but none held out\. Add /);
    expect(err).not.toMatch(/layout/);
  });

  test("a training that cannot begin leaves its name to the next, and what else lies there", async () => {
    put(workspace.at("runs"), { "own/notes.txt": "mine" });
    const file = configured("later.json", { ...semantic, path: "later" });
    const { code, err } = await workspace.command("train", file, "--name", "own");
    expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining("later/") });
    expect(readdirSync(workspace.at("runs/own"))).toEqual(["notes.txt"]);
    // With its steps, or it would time the machine first.
    const one = ["--set", "data.count=1", "--set", "stage1.steps=30"];
    expect((await workspace.command("start", "--preset", "tiny", ...one)).code).toBe(1);
    expect((await workspace.command("train", file)).out).toBe("Training own in runs/own-2\n");
    expect(readdirSync(workspace.at("runs"))).toEqual(["own"]);
  });

  test("fails when nothing can be used, with the reasons", async () => {
    put(workspace.at("none"), { "image/a.png": "no picture", "condition/a.png": "neither" });
    const { code, err } = await workspace.command("import", configured("none.json", { ...semantic, path: "none" }));
    expect(code).toBe(1);
    expect(err).toMatch(/no pair can be used\. What is wrong:\n {2}corrupt file: 1\n {4}a: /);
  });
});
