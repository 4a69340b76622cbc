import { existsSync, readdirSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { Workspace } from "./program.ts";

const workspace = new Workspace();
afterAll(() => workspace.remove());

/** Starts the program, sends Ctrl-C soon after it says `when`, and tells what became of it. */
async function interrupted(when: string, ...args: string[]) {
  const { child, said, ended } = workspace.start(...args);
  await said(when);
  await new Promise((done) => setTimeout(done, 100)); // into the task, which takes seconds
  child.kill("SIGINT");
  const { code, out, err } = await ended;
  return { code, err, last: out.trimEnd().split("\n").at(-1) };
}

const files = (...folder: string[]) =>
  existsSync(workspace.at(...folder)) ? readdirSync(workspace.at(...folder)) : [];

test("Ctrl-C while data are drawn leaves no part of them, and the run can go on", async () => {
  const drawing = "drawing faces: 30000 in all";
  const first = await interrupted(drawing, "train", "tiny", "--name", "drawing", "--set", "data.count=30000");
  expect(first).toMatchObject({
    code: 130,
    err: "",
    last: "Saved runs/drawing at step 0 of 30 of stage1. Go on: npx iqvae resume runs/drawing",
  });
  expect(files("cache")).toEqual([]);
  expect(files("runs", "drawing")).not.toContain("lock.json");

  const second = await interrupted(drawing, "resume", "drawing");
  expect(second).toMatchObject({ code: 130, err: "", last: first.last });
  expect(files("cache")).toEqual([]);
});

/** Encoding is long and training is short. */
const SLOW = ["stage1.model.image.channels=128", "stage1.model.image.patch=1", "stage1.model.condition.patch=1"];
const SHORT = ["stage1.steps=1", "stage1.warmup=0", "stage1.batch=1", "sampleEvery=1000"];

test("Ctrl-C while data are encoded keeps stage 1, and the run encodes them anew", async () => {
  const set = [...SLOW, ...SHORT].flatMap((setting) => ["--set", setting]);
  const encoding = "encoding the data: ";
  const first = await interrupted(encoding, "train", "tiny", "--name", "encoding", ...set);
  expect(first).toMatchObject({
    code: 130,
    err: "",
    last: "Saved runs/encoding at step 0 of 30 of stage2. Go on: npx iqvae resume runs/encoding",
  });
  expect(files("runs", "encoding").filter((name) => name.startsWith("tokens"))).toEqual([]);
  expect(files("runs", "encoding", "checkpoints").some((name) => name.startsWith("stage1-00000001"))).toBe(true);

  const second = await interrupted(encoding, "resume", "encoding");
  expect(second).toMatchObject({ code: 130, err: "", last: first.last });
  expect(files("runs", "encoding").filter((name) => name.startsWith("tokens"))).toEqual([]);
});

test("Ctrl-C in a start says how to go on with the same preset", async () => {
  const { code, last } = await interrupted("stage1: ", "start", "--preset", "tiny", "--set", "stage1.steps=100000");
  expect(code).toBe(130);
  expect(last).toMatch(/Saved runs\/tiny .* Go on: npx iqvae start --preset tiny$/);
});
