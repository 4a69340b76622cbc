import { existsSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { GroupRuns, SET, STEPS } from "./group-runs.ts";

const runs = new GroupRuns();
afterAll(() => runs.remove());

describe("a training in two processes", () => {
  test("stops at Ctrl-C, and goes on in one process, which says that this is not to the bit", async () => {
    const { child, ended } = await runs.underWay("resized");
    child.kill("SIGINT");
    expect((await ended).code).toBe(130);
    const { code, out } = await runs.run("resume", "runs/resized");
    expect(code).toBe(0);
    expect(out).toMatch(/was trained in 2 processes and goes on in one process/);
    expect(runs.steps("resized")).toEqual([STEPS[0], STEPS[1]]);
  });

  test("that cannot write says so once, and ends", async () => {
    const { ended } = await runs.underWay("unwritable");
    renameSync(runs.folder("unwritable"), `${runs.folder("unwritable")}-before`);
    writeFileSync(runs.folder("unwritable"), "a file is in the way");
    const { code, out, err } = await ended;
    expect([code, err]).toEqual([1, ""]);
    expect(out.split('"event":"error"').length).toBe(2);
    expect(readdirSync(`${runs.folder("unwritable")}-before`)).toContain("stage1-00000006.json");
  });

  test("refuses a batch that cannot be shared evenly before it makes a folder, and names the nearest", async () => {
    const uneven = ["--name", "uneven", "--set", "stage1.batch=7"];
    const { code, err } = await runs.run("train", "tiny", "--processes", "2", ...SET, ...uneven);
    expect([code, existsSync(runs.folder("uneven"))]).toEqual([1, false]);
    expect(err.trim().split("\n")).toEqual([expect.stringMatching(/stage1\.batch is 7 rows.*6 or 8/)]);
  });
});
