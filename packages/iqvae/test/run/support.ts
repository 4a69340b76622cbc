import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { manualSeed, scope } from "@iqvae/torch";
import { onTestFinished } from "vitest";
import { type Config, parseConfig, presets } from "../../src/config/index.ts";
import { Loader } from "../../src/data/index.ts";
import { listCheckpoints } from "../../src/run/checkpoint.ts";
import { type Training, train } from "../../src/run/loop.ts";
import { readMetrics } from "../../src/run/metrics-log.ts";
import { createRun, openRun, type RunFolder } from "../../src/run/run-folder.ts";
import { silent } from "../../src/support/progress.ts";
import type { Trainer } from "../../src/support/trainer.ts";
import { ROWS, TinyTrainer } from "./tiny-trainer.mjs";

/** A folder that is gone after the test; in memory where there is such a place and it takes one, for these tests flush a lot. */
export function temporaryFolder(): string {
  let path: string;
  try {
    path = mkdtempSync("/dev/shm/iqvae-");
  } catch {
    path = mkdtempSync(join(tmpdir(), "iqvae-"));
  }
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

export const STEPS = 24;

export const tinyConfig: Config = parseConfig(
  { ...presets.tiny, logEvery: 5, evaluateEvery: 4, checkpointEvery: 6 },
  "test",
);

/** Opens or makes the run in `path` and trains the tiny trainer in it. */
export async function trainTiny(
  path: string,
  over: Partial<Training> & { wrap?: (trainer: TinyTrainer) => Trainer; config?: Config } = {},
): Promise<{ run: RunFolder; outcome: Awaited<ReturnType<typeof train>>; trainer: TinyTrainer }> {
  const run = existsSync(join(path, "config.json")) ? openRun(path) : createRun(path, over.config ?? tinyConfig);
  const trainer = new TinyTrainer();
  manualSeed(5);
  const { wrap = (plain: TinyTrainer): Trainer => plain, config: _, ...rest } = over;
  const outcome = await train({
    run,
    stage: "stage1",
    trainer: wrap(trainer),
    loader: new Loader(ROWS, 3),
    steps: STEPS,
    rows: 7,
    basis: {},
    progress: silent,
    interrupt: { requested: false },
    ...rest,
  });
  return { run, outcome, trainer };
}

/** All that must be equal, however a run came to its end: the newest checkpoint's tensors, its description, and the log. */
export function bits(path: string): unknown {
  const folder = join(path, "checkpoints");
  const newest = listCheckpoints(folder, "stage1")[0];
  if (newest === undefined) throw new Error(`no checkpoint in ${folder}`);
  return {
    description: readFileSync(newest.path, "utf8"),
    tensors: readFileSync(newest.path.replace("json", "safetensors")).toString("base64"),
    log: readMetrics(join(path, "metrics.jsonl")),
  };
}

/** A tiny trainer whose steps can be tampered with. */
export function tampered(
  plain: TinyTrainer,
  step: (number: number, plain: TinyTrainer) => number | undefined,
): Trainer {
  let number = 0;
  return {
    step(indices) {
      const metrics = plain.step(indices);
      number = Number(plain.state().steps);
      return { ...metrics, loss: step(number, plain) ?? metrics.loss };
    },
    tensors: () => plain.tensors(),
    state: () => plain.state(),
    restore: (tensors, state) => plain.restore(tensors, state),
    evaluate: () => plain.evaluate(),
  };
}

/** Overwrites a weight with a number that is none. */
export function poison(trainer: TinyTrainer): void {
  scope(() => trainer.parameters.get("first.weight")!.detach().fill_(Number.NaN));
}
