import { copyFileSync, cpSync, readFileSync, renameSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { listCheckpoints } from "../../src/run/checkpoint.ts";
import { Workspace } from "./program.ts";

const workspace = new Workspace();
beforeAll(async () => {
  expect(await workspace.command("train", "tiny")).toMatchObject({ code: 0 });
});
afterAll(() => workspace.remove());

describe("sample", () => {
  test("draws rows of condition, real image and samples, alike for equal seeds", async () => {
    const draw = async (file: string, ...args: string[]) => {
      const options = ["--index", "0", "--index", "3", "--count", "3", "--out", file, ...args];
      expect(await workspace.command("sample", "tiny", ...options)).toMatchObject({ code: 0, err: "" });
      return readFileSync(workspace.at(file));
    };
    const first = await draw("a.png");
    const { width, height } = await sharp(first).metadata();
    // Five tiles of 128 pixels and two rows, with four pixels around each and sixteen for what is drawn.
    expect([width, height]).toEqual([5 * 132 + 4, 2 * (132 + 16) + 4]);
    expect(await draw("b.png")).toEqual(first);
    expect(await draw("c.png", "--seed", "1")).not.toEqual(first);
  });

  test("takes conditions from images", async () => {
    const map = await sharp(Buffer.alloc(32 * 32, 4), { raw: { width: 32, height: 32, channels: 1 } })
      .toColorspace("b-w")
      .png()
      .toBuffer();
    writeFileSync(workspace.at("map.png"), map);
    const { code, out } = await workspace.command(
      "sample",
      "tiny",
      "--condition",
      "map.png",
      "--count",
      "2",
      "--out",
      "d.png",
    );
    expect({ code, last: out.trimEnd().split("\n").at(-1) }).toEqual({
      code: 0,
      last: "1 condition, 2 images each: d.png",
    });
    const { width, height } = await sharp(workspace.at("d.png")).metadata();
    expect([width, height]).toEqual([3 * 132 + 4, 132 + 16 + 4]);
  });

  test("draws with an exported model what the run draws, without libtorch", async () => {
    expect(await workspace.command("export", "tiny", "--out", "exported")).toMatchObject({ code: 0 });
    const options = ["--index", "2", "--count", "3", "--seed", "5", "--top-k", "20"];
    expect(await workspace.command("sample", "tiny", ...options, "--out", "run.png")).toMatchObject({ code: 0 });
    process.env.LIBTORCH = "/nowhere";
    try {
      // Without libtorch a run cannot be drawn with, which shows that the variable counts.
      expect((await workspace.run("sample", "tiny", ...options, "--out", "never.png")).code).toBe(1);
      const measured = await workspace.run("metrics", "exported");
      expect(measured).toMatchObject({
        code: 1,
        err: expect.stringContaining("judged by networks that run on libtorch"),
      });
      expect(measured.err).toContain("npm run setup");
      const { code, err, out } = await workspace.run("sample", "exported", ...options);
      expect({ code, err, last: out.trimEnd().split("\n").at(-1) }).toEqual({
        code: 0,
        err: "",
        last: "1 condition, 3 images each: sample.png",
      });
    } finally {
      delete process.env.LIBTORCH;
    }
    const { out } = await workspace.command("sample", "exported", "--count", "2", "--out", "examples.png");
    expect(out).toContain("4 conditions, 2 images each: examples.png");
    const pixels = (file: string) => sharp(workspace.at(file)).raw().toBuffer();
    const [own, wanted] = [await pixels("sample.png"), await pixels("run.png")];
    expect(own.length).toBe(wanted.length);
    const apart = own.map((value, i) => Math.abs(value - wanted[i]!));
    expect(apart.reduce((most, each) => Math.max(most, each), 0)).toBeLessThanOrEqual(1);
  });

  test("says what an exported model cannot do", async () => {
    const fail = async (...args: string[]) => (await workspace.command("sample", "exported", ...args)).err;
    expect(await fail("--size", "64")).toContain("--size is for runs");
    expect(await fail("--threads", "1")).toContain("--threads is for runs");
    expect(await fail("--condition", "none.png")).toContain("none.png cannot be read");
    expect(await fail("--condition", "a.png", "--out", "a.png")).toContain("--out a.png is a file that this reads");
    const json = readFileSync(workspace.at("exported/model.json"), "utf8");
    const { data, examples, ...foreign } = JSON.parse(json);
    expect(data).toMatchObject({ name: "faces", size: 32 });
    expect(examples).toHaveLength(8);
    writeFileSync(workspace.at("exported/model.json"), JSON.stringify(foreign));
    expect(await fail("--index", "0")).toContain("Name conditions by --condition");
    const { err } = await workspace.command("metrics", "exported");
    expect(err).toContain("exported was trained on data that it does not come with. Measure the run");
    expect(await fail()).toContain("exported has no examples");
    truncateSync(workspace.at("exported/model.safetensors"), 1000);
    expect(await fail("--condition", "map.png")).toContain("model.safetensors");
  });

  const gray = (value: number, size = 32) =>
    sharp(Buffer.alloc(size * size, value), { raw: { width: size, height: size, channels: 1 } })
      .toColorspace("b-w")
      .png()
      .toBuffer();

  test.each<[string, () => Promise<Buffer | string>, RegExp]>([
    ["no image", async () => "hello", /^bad\.png is not a whole image that can be decoded/],
    [
      "half an image",
      async () => (await gray(1)).subarray(0, 70),
      /^bad\.png is not a whole image that can be decoded/,
    ],
    ["another size", () => gray(1, 48), /expected 32 × 32 pixels, got 48 × 48/],
    [
      "a label out of range",
      () => gray(200),
      /bad\.png holds 200 at x = 0, y = 0, but there are 13 classes, 0 \(background\) to 12/,
    ],
  ])("refuses a condition that is %s", async (_, make, message) => {
    writeFileSync(workspace.at("bad.png"), await make());
    const { code, err } = await workspace.command("sample", "tiny", "--condition", "bad.png");
    expect(code).toBe(1);
    expect(err).toMatch(message);
    expect(err.trimEnd()).not.toMatch(/\n\s+at /);
  });

  test("refuses what is not there", async () => {
    const fail = async (...args: string[]) => (await workspace.command("sample", ...args)).err;
    expect(await fail("nothing")).toContain("There is no run in nothing; ");
    expect(await fail("tiny", "--condition", "none.png")).toBe("none.png cannot be read: there is no such file.\n");
    expect(await fail("tiny", "--index", "99")).toBe("--index 99: there are 15 held-out pairs, 0 to 14.\n");
    expect(await fail("tiny", "--out", "none/a.png")).toBe(
      "Could not write none/a.png: there is no folder none. Make it first (ENOENT).\n",
    );
  });

  test("refuses a run that has not come to stage 2, and one whose weights were changed", async () => {
    const early = workspace.at("runs/early");
    cpSync(workspace.at("runs/tiny"), early, { recursive: true });
    for (const { path } of listCheckpoints(join(early, "checkpoints"), "stage2")) rmSync(path);
    expect((await workspace.command("sample", "early")).err).toBe(
      "runs/early has no checkpoint of stage 2 yet, so there is nothing to draw images with. Train on: npx iqvae resume runs/early\n",
    );
    const [newest] = listCheckpoints(workspace.at("runs/tiny/checkpoints"), "stage1");
    const name = newest!.path.replace("json", "safetensors").split("/").at(-1)!;
    const kept = workspace.at("kept.safetensors");
    copyFileSync(workspace.at("runs/tiny/checkpoints", name), kept);
    truncateSync(workspace.at("runs/tiny/checkpoints", name), 1000);
    const { code, err } = await workspace.command("sample", "tiny");
    renameSync(kept, workspace.at("runs/tiny/checkpoints", name));
    expect(code).toBe(1);
    expect(err).toMatch(
      /^The checkpoint runs\/tiny\/checkpoints\/stage1-00000030\.json cannot be used: .* has 1000 bytes instead of /,
    );
  });
});
