import { execFileSync, spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Workspace } from "./program.ts";

/* What a command writes to, and what it does when it cannot. */

const workspace = new Workspace();
const SHORT = ["stage1.steps=1", "stage1.warmup=0", "stage2.steps=1", "stage2.warmup=0"];
beforeAll(async () => {
  const set = SHORT.flatMap((setting) => ["--set", setting]);
  expect(await workspace.command("train", "tiny", ...set)).toMatchObject({ code: 0 });
});
afterAll(() => workspace.remove());

const FEW = ["--index", "0", "--count", "1"];
const sample = (...args: string[]) => workspace.command("sample", "tiny", ...FEW, ...args);

describe("--out", () => {
  test("of a device is written to, and the device stays one", async ({ skip }) => {
    const device = workspace.at("null");
    // A device of our own: should this fail, the machine keeps its /dev/null.
    if (spawnSync("mknod", [device, "c", "1", "3"]).status !== 0) skip("this process may not make devices");
    expect(await sample("--out", "null")).toMatchObject({ code: 0, err: "" });
    expect(await workspace.command("report", "tiny", "--out", "null")).toMatchObject({ code: 0, err: "" });
    expect(await workspace.command("likelihood", "tiny", "--index", "0", "--out", "null")).toMatchObject({ code: 0 });
    const faces = ["faces", "--size", "32", "--count", "160"];
    expect(await workspace.command("data", ...faces, "--out", "null")).toMatchObject({ code: 0 });
    expect(lstatSync(device).isCharacterDevice()).toBe(true);
  });

  test("of a pipe reaches its reader", async () => {
    execFileSync("mkfifo", [workspace.at("pipe")]);
    const reader = spawn("cat", [workspace.at("pipe")]);
    const parts: Buffer[] = [];
    reader.stdout.on("data", (data) => parts.push(data));
    const ended = new Promise((done) => reader.on("close", done));
    expect(await sample("--out", "pipe")).toMatchObject({ code: 0, err: "" });
    await ended;
    expect((await sharp(Buffer.concat(parts)).metadata()).format).toBe("png");
    expect(lstatSync(workspace.at("pipe")).isFIFO()).toBe(true);
  });

  test("of a link replaces the file that it points to", async () => {
    symlinkSync("target.png", workspace.at("link.png"));
    expect(await sample("--out", "link.png")).toMatchObject({ code: 0, err: "" });
    expect(readlinkSync(workspace.at("link.png"))).toBe("target.png");
    expect((await sharp(workspace.at("target.png")).metadata()).format).toBe("png");
  });

  test("of another format's ending is refused before anything is drawn, but not that of a pipe", async () => {
    const before = readdirSync(workspace.path);
    for (const [command, out, ending] of [
      [["sample", "tiny", ...FEW], "o.jpg", ".png"],
      [["likelihood", "tiny", "--index", "0"], "o.webp", ".png"],
      [["data", "faces", "--size", "32", "--count", "160"], "o.pdf", ".png"],
      [["report", "tiny"], "o.png", ".html"],
    ] as const) {
      const { code, out: said, err } = await workspace.command(...command, "--out", out);
      expect({ code, said }).toEqual({ code: 1, said: "" });
      expect(err).toContain(`--out ${out}: `);
      expect(err).toContain(`ends in ${ending}`);
    }
    expect(readdirSync(workspace.path)).toEqual(before);

    execFileSync("mkfifo", [workspace.at("pipe.jpg")]);
    const reader = spawn("cat", [workspace.at("pipe.jpg")], { stdio: "ignore" });
    const ended = new Promise((done) => reader.on("close", done));
    expect(await sample("--out", "pipe.jpg")).toMatchObject({ code: 0, err: "" });
    await ended;
    rmSync(workspace.at("pipe.jpg"));
    expect(await sample("--out", "UPPER.PNG")).toMatchObject({ code: 0, err: "" });
  });

  test("with a name of 250 bytes is taken", async () => {
    const name = `${"n".repeat(246)}.png`;
    expect(await sample("--out", name)).toMatchObject({ code: 0, err: "" });
    expect(existsSync(workspace.at(name))).toBe(true);
  });

  test.each([
    ["a missing folder", "none/a.png", /no folder none/],
    ["a read-only file", "read-only.png", /permissions do not allow it/],
    ["a folder", "runs", /it is a folder/],
  ])("of %s is refused before anything is drawn", async (_, out, reason) => {
    writeFileSync(workspace.at("read-only.png"), "kept");
    chmodSync(workspace.at("read-only.png"), 0o444);
    const before = readdirSync(workspace.path);
    const faces = ["faces", "--size", "32", "--count", "4000"];
    for (const command of [
      ["sample", "tiny", ...FEW],
      ["likelihood", "tiny"],
      ["report", "tiny"],
      ["data", ...faces],
    ]) {
      const { code, out: said, err } = await workspace.command(...command, "--out", out);
      expect({ code, said }).toEqual({ code: 1, said: "" });
      expect(err).toMatch(reason);
      expect(err.trimEnd()).not.toMatch(/\n\s+at /);
    }
    expect(readFileSync(workspace.at("read-only.png"), "utf8")).toBe("kept");
    expect(readdirSync(workspace.path)).toEqual(before);
    rmSync(workspace.at("read-only.png"));
  });

  test("is told before drawing, too, when the picture would be too large", async () => {
    const { code, out, err } = await workspace.command("sample", "tiny", "--index", "0", "--count", "16500");
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toContain("2178268 × 152 pixels; at most 268402689");
  });

  test("that is not given needs no folder in a copy of a run that lost its empty ones", async () => {
    rmSync(workspace.at("runs/tiny/samples"), { recursive: true });
    expect(await sample()).toMatchObject({ code: 0, err: "" });
    expect(readdirSync(workspace.at("runs/tiny/samples"))).toEqual(["sample.png"]);
  });
});

test("a report that cannot be written is said to be missing, and hides neither the training nor the fault", async () => {
  mkdirSync(workspace.at("runs/odd/report.html"), { recursive: true });
  const set = SHORT.flatMap((setting) => ["--set", setting]);
  const { code, out, err } = await workspace.command("train", "tiny", "--name", "odd", ...set);
  expect({ code, err }).toEqual({ code: 1, err: "" });
  expect(out).toMatch(/saved, but not its report\. Could not write .*report\.html: it is a folder/);
  expect(await workspace.command("sample", "odd", ...FEW)).toMatchObject({ code: 0 });
});
