import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { listCheckpoints } from "../../src/run/checkpoint.ts";
import { readMetrics } from "../../src/run/metrics-log.ts";
import { Workspace } from "./program.ts";

const workspace = new Workspace();
beforeAll(async () => {
  expect(await workspace.command("train", "tiny")).toMatchObject({ code: 0 });
});
afterAll(() => workspace.remove());

describe("resume", () => {
  test("says that a run is finished, and what is missing", async () => {
    expect(await workspace.command("resume", "runs/tiny")).toMatchObject({
      code: 0,
      out: "runs/tiny is finished. Look at runs/tiny/report.html; draw images: npx iqvae sample runs/tiny\n",
    });
    expect(await workspace.command("resume", "runs/tinny")).toMatchObject({
      code: 1,
      err: "There is no run in runs/tinny; did you mean 'runs/tiny'?\n",
    });
  });

  test("goes on after Ctrl-C, which saves and says how", async () => {
    const { child, said, ended } = workspace.start("train", "tiny", "--name", "stopped");
    await said("stage1: 30 in all");
    child.kill("SIGINT");
    const { code, out } = await ended;
    expect(code).toBe(130);
    expect(out).toMatch(/Stopping after this step, then saving\. A second Ctrl-C quits at once\./);
    expect(out).toMatch(/Saved runs\/stopped at step \d+ of 30 of stage1\. Go on: npx iqvae resume runs\/stopped\n$/);
    const resumed = await workspace.command("resume", "stopped");
    expect(resumed.out).toMatch(/^Going on with runs\/stopped from step \d+ of 30 of stage1\n/);
    expect(resumed.out).toMatch(/Finished\. Look at runs\/stopped\/report\.html/);
    expect(result("stopped")).toEqual(result("tiny"));
  });

  test("names a damaged configuration", async () => {
    cpSync(workspace.at("runs/tiny"), workspace.at("runs/damaged"), { recursive: true });
    truncateSync(workspace.at("runs/damaged/config.json"), 20);
    const { code, err } = await workspace.command("resume", "damaged");
    expect(code).toBe(1);
    expect(err).toContain("runs/damaged/config.json is not valid JSON: ");
  });
});

describe("start", () => {
  test("draws samples and a report of a run that is there", async () => {
    const { code, out } = await workspace.command("start", "--preset", "tiny");
    expect(code).toBe(0);
    expect(out).toMatch(/^runs\/tiny is trained already \(delete it to begin anew\): drawing samples\n/);
    expect(out).toContain(`Samples: ${workspace.at("samples.png")}\nReport:  ${workspace.at("report.html")}\n`);
    const { width, height } = await sharp(workspace.at("samples.png")).metadata();
    expect([width, height]).toEqual([8 * 132 + 4, 8 * 132 + 4]);
    expect(existsSync(workspace.at("report.html"))).toBe(true);
  });

  test("does not pass over values that the run was not made with", async () => {
    const { code, err } = await workspace.command("start", "--preset", "tiny", "--set", "stage1.steps=31");
    expect(code).toBe(1);
    expect(err).toMatch(
      /^runs\/tiny was made with other values than stage1\.steps=31\..* train tiny --set stage1\.steps=31\n$/,
    );
  });

  test("takes presets alone: a file would name a folder of runs that no run can have", async () => {
    mkdirSync(workspace.at("my"));
    cpSync(workspace.at("runs/tiny/config.json"), workspace.at("my/config.json"));
    const { code, err } = await workspace.command("start", "--preset", "my/config.json");
    expect(code).toBe(1);
    expect(err).toContain("my/config.json");
    expect(err).toContain("tiny");
    expect(existsSync(workspace.at("runs/my"))).toBe(false);
  });

  test("goes on with an unfinished run", async () => {
    const path = workspace.at("runs/start");
    cpSync(workspace.at("runs/tiny"), path, { recursive: true });
    for (const { path: last } of listCheckpoints(join(path, "checkpoints"), "stage2").slice(0, 1)) rmSync(last);
    rmSync(workspace.at("samples.png"), { force: true });
    const { code, out } = await workspace.command("start");
    expect(code).toBe(0);
    expect(out).toMatch(/^runs\/start is unfinished: going on from step 20 of 30 of stage2\n/);
    const first = out.indexOf("First samples, by a model that comes with the program");
    expect(first).toBeGreaterThan(0);
    expect(first).toBeLessThan(out.indexOf("stage2: "));
    expect(result("start")).toEqual(result("tiny"));
  });
});

/** What a run came to: weights and moments of both stages, and the log. */
function result(name: string): unknown {
  const path = workspace.at("runs", name);
  const tensors = (["stage1", "stage2"] as const).map((stage) => {
    const { path: newest } = listCheckpoints(join(path, "checkpoints"), stage)[0]!;
    return (JSON.parse(readFileSync(newest, "utf8")) as { tensors: unknown }).tensors;
  });
  return { tensors, log: readMetrics(join(path, "metrics.jsonl")) };
}
