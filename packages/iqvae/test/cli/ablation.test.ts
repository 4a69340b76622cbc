import { existsSync, readFileSync, statSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { listCheckpoints } from "../../src/run/checkpoint.ts";
import type { Stage } from "../../src/support/trainer.ts";
import { type Ended, Workspace } from "./program.ts";

const workspace = new Workspace();
afterAll(() => workspace.remove());

/** Everything at its smallest. */
const SETTINGS = [
  "data.count=120",
  "stage1.model.image.channels=16",
  "stage1.model.condition.channels=16",
  "stage1.model.image.codes=32",
  "stage1.model.condition.codes=32",
  "stage1.batch=8",
  "stage1.warmup=5",
  "stage2.model.width=32",
  "stage2.model.layers=2",
  "stage2.batch=8",
  "stage2.warmup=5",
  "checkpointEvery=8",
  "evaluateEvery=8",
  "sampleEvery=24",
  "keepAt=[3,21]",
].flatMap((value) => ["--set", value]);

const ablation = (...more: string[]) => [
  ...[
    "reproduce",
    "ablation",
    "--task",
    "faces-semantic",
    "--regime",
    "cut",
    "--seeds",
    "1",
    "--arms",
    "within,within-near",
  ],
  ...[
    "--steps1",
    "24",
    "--steps2",
    "24",
    "--out",
    "out",
    "--jobs",
    "2",
    "--threads",
    "1",
    "--no-scores",
    ...SETTINGS,
    ...more,
  ],
];
const leader = "out/within-seed1";
const follower = "out/within-near-seed1";

function weights(run: string, stage: Stage): Buffer {
  const newest = listCheckpoints(workspace.at(run, "checkpoints"), stage)[0]!;
  expect(newest.step).toBe(24);
  return readFileSync(newest.path.replace(/json$/, "safetensors"));
}

describe("a tiny ablation, interrupted once", () => {
  let first: Ended;
  let second: Ended;
  beforeAll(async () => {
    const started = workspace.start(...ablation("--json"));
    await started.said('"task":"training"', 3);
    started.child.kill("SIGINT");
    first = await started.ended;
    second = await workspace.command(...ablation());
  });

  test("saves, says how to go on, and leaves no process behind", () => {
    expect(first.code, first.err + first.out).toBe(130);
    expect(first.out).toContain('"event":"interrupted"');
    expect(existsSync(workspace.at(leader, "lock.json"))).toBe(false);
  });

  test("goes on to a report", () => {
    expect(second.code, second.err + second.out).toBe(0);
    expect(second.out).toContain("Finished. Report: out/report.html; table: out/ablation.md");
    const { runs, failed, comparisons } = JSON.parse(readFileSync(workspace.at("out", "ablation.json"), "utf8"));
    expect(failed).toEqual([]);
    expect(runs.map(({ arm }: { arm: string }) => arm)).toEqual(["within", "within-near"]);
    for (const { figures } of runs) {
      expect(figures.bitsPerToken).toBeGreaterThan(0);
      expect(figures.bitsPerToken).toBeLessThan(6);
      expect(figures.psnr).toBeGreaterThan(3);
    }
    // One tokenizer, so one reconstruction.
    expect(runs[0].figures.psnr).toBe(runs[1].figures.psnr);
    // The other comparisons would show the same two arms again.
    expect(comparisons.map(({ title }: { title: string }) => title)).toEqual([
      "What stage 2 is fed, pairs within an image",
    ]);
    const table = readFileSync(workspace.at("out", "ablation.md"), "utf8");
    expect(table).toContain("| | moves the image alone, pairs within an image | pairs within an image, near codes |");
    const page = readFileSync(workspace.at("out", "report.html"), "utf8");
    expect(page).toContain("Samples side by side");
    expect(page.match(/<polyline/g)!.length).toBe(6); // three figures of two arms
    expect(page).toContain("data:image/png;base64,");
  });

  test("keeps the weights after the steps that are to be scored, beside the last two", () => {
    for (const run of [leader, follower]) {
      const steps = listCheckpoints(workspace.at(run, "checkpoints"), "stage2").map(({ step }) => step);
      expect(steps).toEqual(expect.arrayContaining([24, 21, 3]));
    }
  });

  test("trains the shared tokenizer once", () => {
    expect(weights(follower, "stage1").equals(weights(leader, "stage1"))).toBe(true);
    expect(weights(follower, "stage2").equals(weights(leader, "stage2"))).toBe(false);
  });

  test("a run that took its tokenizer over is the run that trains its own, to the bit", async () => {
    const { code, err } = await workspace.command(
      "train",
      `${follower}/config.json`,
      "--name",
      "alone",
      "--threads",
      "1",
    );
    expect(code, err).toBe(0);
    expect(weights("runs/alone", "stage2").equals(weights(follower, "stage2"))).toBe(true);
    const log = (run: string) => readFileSync(workspace.at(run, "metrics.jsonl"), "utf8");
    expect(log(follower)).toBe(log("runs/alone"));
  });

  test("a run is an ordinary one", async () => {
    const { code, out } = await workspace.command("resume", follower);
    expect(code).toBe(0);
    expect(out).toContain("is finished");
  });

  test("asked again, it trains nothing", async () => {
    const before = statSync(workspace.at(leader, "metrics.jsonl")).mtimeMs;
    const again = await workspace.command(...ablation());
    expect(again.code).toBe(0);
    expect(again.out).toContain("training: 72 in all, going on from 72");
    expect(statSync(workspace.at(leader, "metrics.jsonl")).mtimeMs).toBe(before);
  });

  test("asked for tables alone, it trains nothing that is missing", async () => {
    const tables = [...ablation("--no-train"), "--seeds", "1,2"];
    const { code, err } = await workspace.command(...tables);
    expect(code, err).toBe(0);
    expect(existsSync(workspace.at("out/within-seed2"))).toBe(false);
    const { runs } = JSON.parse(readFileSync(workspace.at("out", "ablation.json"), "utf8"));
    expect(runs.map(({ arm, seed, step }: { arm: string; seed: number; step: number }) => [arm, seed, step])).toEqual([
      ["within", 1, 24],
      ["within-near", 1, 24],
    ]);
  });

  test("asked for tables of runs that are not there, or beside runs of other settings, it leaves those that there are", async () => {
    const before = readFileSync(workspace.at("out", "ablation.json"), "utf8");
    const missing = await workspace.command(...ablation("--no-train"), "--seeds", "7");
    expect([missing.code, missing.err]).toEqual([1, expect.stringContaining("No run of this plan is finished in out")]);
    const other = await workspace.command(...ablation("--set", "stage2.rate=0.001"), "--seeds", "7");
    expect([other.code, other.err]).toEqual([
      1,
      expect.stringMatching(/-seed1 was made with other settings: stage2\.rate/),
    ]);
    expect(readFileSync(workspace.at("out", "ablation.json"), "utf8")).toBe(before);
  });

  test("with other settings, it says which and where to go", async () => {
    const other = await workspace.command(...ablation("--set", "stage2.rate=0.001"));
    expect(other.code).toBe(1);
    expect(other.err).toContain(
      `${follower} was made with other settings: stage2.rate is 0.0015 there and would be 0.001`,
    );
  });
});

test("mistakes are named with the nearest choice", async () => {
  const arms = await workspace.command(
    "reproduce",
    "ablation",
    "--task",
    "faces-semantic",
    "--arms",
    "main,within-gumble",
  );
  expect(arms.code).toBe(1);
  expect(arms.err).toContain("There is no 'within-gumble'; did you mean 'within-gumbel'?");
  const task = await workspace.command("reproduce", "ablation", "--task", "emoji-edge");
  expect(task.err).toContain("There is no 'emoji-edge'; did you mean 'emoji-edges'?");
  const ablation = (...more: string[]) => workspace.command("reproduce", "ablation", "--task", "emoji-edges", ...more);
  expect((await ablation("--seeds", "[1]")).err).toMatch(/whole numbers.* separated by commas/);
  expect((await ablation("--out", "package.json")).err).toMatch(/^package\.json is a file/);
});

test("help shows defaults as they are given, and what is required", async () => {
  const { out } = await workspace.command("reproduce", "ablation", "--help");
  expect(out).toContain("(default: 1,2,3)");
  expect(out).toMatch(/\(default:\s+none,paired,image,within\)/);
  expect(out).toMatch(/--task <name>\s+required/);
});
