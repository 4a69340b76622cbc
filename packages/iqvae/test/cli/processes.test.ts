import { existsSync, readFileSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { GroupRuns, SET, STEPS } from "./group-runs.ts";

const runs = new GroupRuns();
afterAll(() => runs.remove());

describe("a training in two processes", () => {
  test("stops at Ctrl-C, says once that the disk is full, and goes on in one process, which is not to the bit", async () => {
    const { child, ended } = await runs.underWay("resized");
    child.kill("SIGINT");
    expect((await ended).code).toBe(130);
    const before = runs.steps("resized");
    // Between the sizes of what both stages write. Two processes have trained it, so two go on.
    const full = await runs.resumeLimited("resized", 400);
    expect([full.code, full.err]).toEqual([1, ""]);
    expect(full.out.split('"event":"error"')).toHaveLength(2);
    expect(full.out).toMatch(/EFBIG.*stage2-\d+.*npx iqvae resume runs\/resized/);
    expect(runs.steps("resized")).toEqual(before);
    const { code, out } = await runs.run("resume", "runs/resized", "--processes", "1");
    expect(code).toBe(0);
    expect(out).toMatch(/was trained in 2 processes and goes on in one process/);
    expect(runs.steps("resized")).toEqual([STEPS[0], STEPS[1]]);
  });

  test("draws in two processes what one does", async () => {
    const drawn = async (...more: string[]) => {
      const out = runs.at(`${more.length}.png`);
      const wanted = ["--index", "0", "--index", "1", "--index", "2", "--count", "2"];
      expect(await runs.run("sample", "resized", ...wanted, "--out", out, ...more)).toMatchObject({ code: 0, err: "" });
      return readFileSync(out).toString("base64");
    };
    const two = ["--processes", "2"];
    expect(await drawn(...two)).toBe(await drawn());
  });

  test("begins with the weights of another run, which the first reads for all", async () => {
    const settings = ["stage1.steps=16", "stage2.steps=5", "pretrained.path=runs/resized"];
    const set = [...SET, ...settings.flatMap((setting) => ["--set", setting])];
    const { code, out, err } = await runs.run("train", "tiny", "--processes", "2", "--name", "begun", ...set);
    expect([code, err]).toEqual([0, ""]);
    const said = [...out.matchAll(/(stage\d) begins with the weights of runs\/resized\./g)].map(([, stage]) => stage);
    expect(said).toEqual(["stage1", "stage2"]);
    expect(runs.steps("begun")).toEqual([16, 5]);
  });

  test("stops at once, all of it, when one is asked to while data are drawn", async () => {
    const { ranks, ended } = await runs.underWay("early", {
      until: "drawing faces",
      env: { IQVAE_CACHE: runs.at("empty") },
    });
    process.kill(ranks[1]!, "SIGTERM");
    const { code, out, err } = await ended;
    expect([code, err]).toEqual([143, ""]);
    expect(out).not.toContain('"event":"error"');
    expect(out).toContain('"event":"interrupted"');
    expect(runs.steps("early")).toEqual([undefined, undefined]);
  });

  test("leaves no run where it cannot begin", async () => {
    const none = ["--name", "none", "--set", "data.count=1"];
    const { code, out } = await runs.run("train", "tiny", "--processes", "2", ...none);
    expect([code, out]).toEqual([1, expect.stringContaining("runs/none")]);
    expect(existsSync(runs.folder("none"))).toBe(false);
  });

  test("pauses with Ctrl-Z, goes on, and ends as one process does when nobody reads it any more", async () => {
    const { child, ranks, ended } = await runs.underWay("paused", { until: '"stage":"stage1"' });
    child.kill("SIGTSTP");
    await reached(() => [child.pid!, ...ranks].every((pid) => stateOf(pid) === "T"));
    child.kill("SIGCONT");
    await reached(() => ranks.every((pid) => stateOf(pid) !== "T"));
    child.stdout.destroy();
    expect((await ended).code).toBe(141);
  });

  test("refuses a batch that cannot be shared evenly before it makes a folder, and names the nearest", async () => {
    const uneven = ["--name", "uneven", "--set", "stage1.batch=7"];
    const { code, err } = await runs.run("train", "tiny", "--processes", "2", ...SET, ...uneven);
    expect([code, existsSync(runs.folder("uneven"))]).toEqual([1, false]);
    expect(err.trim().split("\n")).toEqual([expect.stringMatching(/stage1\.batch is 7 rows.*6 or 8/)]);
  });
});

/** `T` is what is stopped. */
function stateOf(pid: number): string {
  return / (\w) \d+ \d+ /.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))![1]!;
}

async function reached(is: () => boolean): Promise<void> {
  while (!is()) await new Promise((done) => setTimeout(done, 20));
}
