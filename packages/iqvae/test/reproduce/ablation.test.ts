import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { type AblationOptions, runAblation } from "../../src/reproduce/ablation.ts";
import { type AblationPlan, prepareRun, runsOf, stepsDone } from "../../src/reproduce/runs.ts";
import { trainRuns } from "../../src/reproduce/train-runs.ts";
import { listCheckpoints } from "../../src/run/checkpoint.ts";
import { LOCK, lockRun } from "../../src/run/lock.ts";
import { openRun } from "../../src/run/run-folder.ts";
import { trainRun } from "../../src/run/train-run.ts";
import { type Progress, silent } from "../../src/support/progress.ts";

/** Whether fidelity is measured with a network, which is trained first. */
const reader = vi.hoisted(() => ({ isNeeded: false }));
vi.mock("../../src/metrics/index.ts", async (original) => {
  const real = await original<typeof import("../../src/metrics/index.ts")>();
  const none = { networks: {}, score: () => [] };
  const fidelityOf: typeof real.fidelityOf = async (...given) =>
    reader.isNeeded ? await real.fidelityOf(...given) : none;
  return { ...real, fidelityOf };
});

/** Who looks now and then, looks at every turn. */
vi.mock("node:timers/promises", async (original) => {
  const real = await original<typeof import("node:timers/promises")>();
  return { ...real, setTimeout: () => real.setImmediate() };
});
async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise(setImmediate);
}

const SET = [
  ...["data.count=120", "stage1.model.image.channels=16", "stage1.model.condition.channels=16"],
  ...["stage1.model.image.codes=32", "stage1.model.condition.codes=32", "stage1.batch=8", "stage1.warmup=0"],
  ...["stage2.model.width=32", "stage2.model.layers=1", "stage2.batch=8", "stage2.warmup=0", "keepAt=[]"],
];
const folder = mkdtempSync(join(tmpdir(), "iqvae-ablation-"));
const plan: AblationPlan = {
  task: "faces-semantic",
  arms: ["none", "none-near", "none-random"],
  seeds: [1],
  budget: { regime: "cut", steps1: 2, steps2: 2, set: SET },
  out: join(folder, "out"),
};
const options: AblationOptions = {
  ...{ jobs: 1, progress: silent, interrupt: { requested: false }, part: null, train: false },
  start: () => Promise.reject(new Error("nothing is to be trained")),
};

/** Three finished runs of one tokenizer. */
beforeAll(async () => {
  vi.stubEnv("IQVAE_CACHE", join(folder, "cache"));
  for (const planned of runsOf(plan)) await trainRun(prepareRun(planned), options);
});
afterAll(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

test("of finished runs all steps are done, of their own as of those that share a tokenizer", () => {
  expect(runsOf(plan).map(stepsDone)).toEqual([4, 2, 2]);
});

/** Asks to stop at the first update of a task, and notes what else is begun. */
function stoppingAt(task: string) {
  const interrupt = { requested: false };
  const begun: string[] = [];
  const progress: Progress = {
    ...silent,
    begin: (name) => void begun.push(name),
    update() {
      interrupt.requested ||= begun.at(-1) === task;
    },
  };
  return { interrupt, progress, begun };
}

test("the runs of a folder are trained by one process at a time, while others may write tables", async () => {
  const unlock = lockRun(plan.out);
  const start = vi.fn(options.start);
  const second = runAblation({ ...plan, seeds: [1, 2] }, { ...options, train: true, start });
  await expect(second).rejects.toThrow(/out is being trained by process \d+ since .*: --no-train\.$/);
  expect(start).not.toHaveBeenCalled();
  expect(await runAblation(plan, options)).toMatchObject({ failed: [] });
  unlock();
  expect(await runAblation(plan, { ...options, train: true, start })).toMatchObject({ failed: [] });
  expect(existsSync(join(plan.out, LOCK))).toBe(false);
  for (const name of ["ablation.json", "ablation.md", "report.html", "samples.png"]) rmSync(join(plan.out, name));
});

test("the bar of the training moves by steps alone, whatever else its processes say", async () => {
  const updates: number[] = [];
  const progress: Progress = { ...silent, update: (done) => void updates.push(done) };
  const events = [
    { event: "begin", task: "stage1", done: 0 },
    { event: "progress", task: "stage1", done: 2 },
    { event: "evaluation", stage: "stage1", step: 2 },
    { event: "progress", task: "encoding the data", done: 120 },
    { event: "progress", task: "stage2", done: 2 },
    { event: "evaluation", stage: "stage2", step: 2 },
    { event: "finished" },
  ];
  const planned = runsOf({ ...plan, arms: ["none"], out: join(folder, "counted") });
  const { failed } = await trainRuns(planned, {
    ...options,
    progress,
    start(path, onEvent) {
      cpSync(join(plan.out, "none-seed1"), path, { recursive: true });
      events.forEach(onEvent);
      return { ended: Promise.resolve(), interrupt() {} };
    },
  });
  expect([failed, updates]).toEqual([[], [0, 2, 4]]);
});

test("what trains is asked to stop, each process once, and nothing else is begun", { timeout: 60_000 }, async () => {
  const interrupt = { requested: false };
  const planned = runsOf({ ...plan, seeds: [1, 2, 3], arms: ["none"], out: join(folder, "stopped") });
  const [begun, asked]: string[][] = [[], []];
  const outcome = await trainRuns(planned, {
    ...options,
    jobs: 2,
    interrupt,
    start(path) {
      interrupt.requested = begun!.push(path) === 2;
      let end = () => {};
      const ended = new Promise<void>((resolve) => {
        end = resolve;
      });
      return {
        ended,
        interrupt() {
          asked!.push(path);
          // Saving takes a while, in which a second signal would end it.
          void turns(9).then(end);
        },
      };
    },
  });
  expect(outcome).toEqual({ outcome: "interrupted", failed: [] });
  expect(begun).toEqual(planned.slice(0, 2).map(({ path }) => path));
  expect(asked).toEqual(begun);
});

test("it stops while data are drawn, before anything is trained", async () => {
  vi.stubEnv("IQVAE_CACHE", join(folder, "other"));
  const out = join(folder, "drawn");
  const stopping = stoppingAt("drawing faces");
  expect(await runAblation({ ...plan, out }, { ...options, ...stopping, train: true })).toBe("interrupted");
  expect([stopping.begun, readdirSync(out)]).toEqual([["drawing faces"], []]);
  expect(readdirSync(join(folder, "other"))).toEqual([]);
  vi.stubEnv("IQVAE_CACHE", join(folder, "cache"));
});

test("it stops while data for a judge are drawn", async () => {
  reader.isNeeded = true;
  const stopping = stoppingAt("drawing faces");
  expect(await runAblation(plan, { ...options, ...stopping, part: "report" })).toBe("interrupted");
  expect(stopping.begun).toEqual(["drawing faces"]);
  reader.isNeeded = false;
});

test("it stops while a run is scored, and keeps nothing of that", async () => {
  const stopping = stoppingAt("drawing images");
  expect(await runAblation(plan, { ...options, ...stopping, part: "report" })).toBe("interrupted");
  expect(stopping.begun).toEqual(["drawing images"]);
  expect(readdirSync(plan.out).sort()).toEqual(["none-near-seed1", "none-random-seed1", "none-seed1"]);
  for (const { path } of runsOf(plan)) expect(existsSync(join(path, "scores.json"))).toBe(false);
});

const read = (name: string) => readFileSync(join(plan.out, name), "utf8");

/** What a plan of three runs comes to while a file of one of them is damaged. */
async function withDamaged(path: string, damage: (whole: Buffer) => Buffer | string, more: Partial<AblationOptions>) {
  const whole = readFileSync(path);
  writeFileSync(path, damage(whole));
  const told: string[] = [];
  const progress: Progress = { ...silent, tell: (sentence) => void told.push(sentence) };
  const outcome = await runAblation(plan, { ...options, progress, ...more });
  writeFileSync(path, whole);
  const failed = outcome === "interrupted" ? [] : outcome.failed.map(({ error }) => error.message);
  return { failed, told, arms: JSON.parse(read("ablation.json")).runs.map(({ arm }: { arm: string }) => arm) };
}

test("the others are compared when one has a log that cannot be read", async () => {
  const path = join(plan.out, "none-near-seed1", "metrics.jsonl");
  const { failed, told, arms } = await withDamaged(path, (whole) => `{\n${whole}`, {});
  expect(failed).toEqual([expect.stringContaining("line 1 is not a metrics record")]);
  expect(told).toContain(`${join(plan.out, "none-near-seed1")} failed: ${failed[0]}`);
  expect(arms).toEqual(["none", "none-random"]);
  expect(read("ablation.md")).toContain("| | independent quantization (VQ-GAN) | independent, random codes |");
  expect(read("report.html")).toContain("none-near-seed1 failed:");
});

test("the page is written without the pictures of a run that cannot draw", async () => {
  const { checkpoints } = openRun(join(plan.out, "none-near-seed1"));
  const path = listCheckpoints(checkpoints, "stage2")[0]!.path.replace(/json$/, "safetensors");
  const { failed, told, arms } = await withDamaged(path, (whole) => whole.subarray(0, 100), { train: true });
  expect(failed).toHaveLength(1);
  expect(told).toContain(`${join(plan.out, "none-near-seed1")} failed: ${failed[0]}`);
  expect(arms).toEqual(["none", "none-near", "none-random"]);
  for (const name of ["ablation.md", "report.html"]) expect(read(name)).toContain("none-near-seed1 failed:");
  expect(read("report.html")).toContain("Samples side by side");
});
