import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { getRngState, liveTensors, manualSeed, ops, scope } from "@iqvae/torch";
import * as fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { bestCheckpoint, listCheckpoints } from "../../src/run/checkpoint.ts";
import { Interrupt } from "../../src/support/interrupt.ts";
import { withOwnRandomness } from "../../src/support/random-state.ts";
import type { Trainer } from "../../src/support/trainer.ts";
import { bits, poison, STEPS, tampered, temporaryFolder, tinyConfig, trainTiny } from "./support.ts";
import { TinyTrainer } from "./tiny-trainer.mjs";

const child = fileURLToPath(new URL("train-child.mjs", import.meta.url));

let alone: unknown;
beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), "iqvae-"));
  await trainTiny(join(folder, "run"));
  alone = bits(join(folder, "run"));
  rmSync(folder, { recursive: true });
});

describe("an interrupted training", () => {
  test("ends in the same bits, wherever it was interrupted", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: STEPS }), { maxLength: 4 }), async (stops) => {
        const path = join(temporaryFolder(), "run");
        for (const stop of stops) {
          const interrupt = { requested: false };
          await trainTiny(path, {
            interrupt,
            wrap: (plain) =>
              tampered(plain, (number) => {
                if (number === stop) interrupt.requested = true;
                return undefined;
              }),
          });
        }
        const { outcome } = await trainTiny(path);
        expect(outcome).toBe("finished");
        expect(bits(path)).toEqual(alone);
      }),
      { numRuns: 15 },
    );
  });

  test.each([
    ["not at all", []],
    ["where it is lowest", [16]],
    ["before and after", [11, 13, 17]],
    ["at an evaluation that is not the lowest", [20]],
  ])(
    "keeps the weights of the lowest held-out loss, whichever steps have checkpoints: interrupted %s",
    async (_, stops) => {
      const path = join(temporaryFolder(), "run");
      for (const stop of [...stops, STEPS + 1]) {
        const interrupt = { requested: false };
        const wrap = (plain: TinyTrainer): Trainer => ({
          ...tampered(plain, (number) => {
            interrupt.requested = number === stop;
            return undefined;
          }),
          evaluate: () => ({ loss: 1 + Math.abs(Number(plain.state().steps) - 16) }),
        });
        await trainTiny(path, { interrupt, wrap });
      }
      expect(bestCheckpoint(join(path, "checkpoints"), "stage1")).toMatch(/stage1-00000016.json$/);
    },
  );

  test("says that it was interrupted, and saves the step", async () => {
    const path = join(temporaryFolder(), "run");
    const interrupt = { requested: false };
    const { run, outcome } = await trainTiny(path, {
      interrupt,
      wrap: (plain) =>
        tampered(plain, (number) => {
          interrupt.requested = number === 5;
          return undefined;
        }),
    });
    expect(outcome).toBe("interrupted");
    expect(listCheckpoints(run.checkpoints, "stage1").map(({ step }) => step)).toEqual([5, 4]);
  });

  test("does nothing more when it was finished", async () => {
    const path = join(temporaryFolder(), "run");
    await trainTiny(path);
    const { outcome } = await trainTiny(path, {
      wrap: (plain) =>
        tampered(plain, () => {
          throw new Error("a step too many");
        }),
    });
    expect(outcome).toBe("finished");
    expect(bits(path)).toEqual(alone);
  });

  test("leaves no tensor behind", async () => {
    const path = join(temporaryFolder(), "run");
    await trainTiny(path, { steps: STEPS - 6 });
    const before = liveTensors();
    const kept = [new TinyTrainer()];
    const made = liveTensors() - before;
    await trainTiny(path);
    // A trainer's own tensors live until the collector finds them; the loop may have added nothing.
    expect(liveTensors() - before - made).toBeLessThanOrEqual(made);
    expect(kept).toHaveLength(1);
  });
});

// By SIGKILL: see cli/killed.test.ts.
describe("a process that is asked to stop, or locked out", () => {
  const start = (...args: string[]) => {
    const process_ = spawn(process.execPath, [child, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    for (const stream of [process_.stdout, process_.stderr]) stream.on("data", (data) => (output += data));
    const ended = once(process_, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
    const training = Promise.race([once(process_.stdout, "data"), ended]);
    return { process: process_, training, ended, output: () => output };
  };

  test("by SIGINT saves first, exits with 130, and goes on to the same bits", async () => {
    const undisturbed = join(temporaryFolder(), "undisturbed");
    await start(undisturbed).ended;
    const path = join(temporaryFolder(), "stopped");
    const run = start(path, "120", "20");
    await run.training;
    run.process.kill("SIGINT");
    expect(await run.ended).toEqual([130, null]);
    expect(run.output()).toContain("interrupted");
    const saved = listCheckpoints(join(path, "checkpoints"), "stage1")[0]!.step;
    expect(saved).toBeGreaterThan(0);
    expect(saved).toBeLessThan(120);
    await start(path).ended;
    expect(bits(path)).toEqual(bits(undisturbed));
  });

  test("cannot be joined by a second one in the same folder, and leaves no lock that counts", async () => {
    const path = join(temporaryFolder(), "run");
    const first = start(path, "100000", "5");
    await first.training;
    const second = start(path);
    const [code] = await second.ended;
    expect(code).toBe(1);
    expect(second.output()).toContain(`${path} is being trained by process ${first.process.pid} since `);
    first.process.kill("SIGKILL");
    await first.ended;
    const third = start(path);
    await third.ended;
    expect(third.output()).toContain("finished");
  });
});

describe("a training that diverges", () => {
  test("stops at a loss that is not a number and names the last good checkpoint", async () => {
    const path = join(temporaryFolder(), "run");
    const wrap = (plain: Parameters<typeof poison>[0]) =>
      tampered(plain, (step) => (step === 15 ? Number.NaN : undefined));
    await expect(trainTiny(path, { wrap })).rejects.toThrow(
      `Training of stage1 stopped at step 15: the loss became NaN. The last good checkpoint is ` +
        `${path}/checkpoints/stage1-00000012.json, of step 12. Resuming would meet the same numbers: ` +
        `train anew with a lower rate, for example --set stage1.rate=`,
    );
    await trainTiny(path);
    expect(bits(path)).toEqual(alone);
  });

  test("keeps no checkpoint of broken weights, even when the loss was still good", async () => {
    const path = join(temporaryFolder(), "run");
    const wrap = (plain: Parameters<typeof poison>[0]) =>
      tampered(plain, (step) => {
        if (step === 12) poison(plain);
        return undefined;
      });
    await expect(trainTiny(path, { wrap })).rejects.toThrow(
      /stopped at step 12: 'first.weight' holds a value that is not a number\. The last good checkpoint is .*of step 8\./,
    );
  });

  test("says that there is no checkpoint when it diverges before the first", async () => {
    const path = join(temporaryFolder(), "run");
    await expect(trainTiny(path, { wrap: (plain) => tampered(plain, () => Infinity) })).rejects.toThrow(
      "stopped at step 1: the loss became Infinity. stage1 has no checkpoint yet.",
    );
  });
});

test("looking at a run does not change its random numbers", async () => {
  manualSeed(9);
  const before = getRngState();
  const seen = await withOwnRandomness(4, () => Buffer.from(getRngState()).toString("hex"));
  const again = await withOwnRandomness(4, () => Buffer.from(getRngState()).toString("hex"));
  expect(seen).toBe(again);
  expect(getRngState()).toEqual(before);
});

test("looking more often, or drawing pictures, does not change what is learned", async () => {
  const paths = ["seldom", "often"].map((name) => join(temporaryFolder(), name)) as [string, string];
  await trainTiny(paths[0], { config: { ...tinyConfig, evaluateEvery: STEPS } });
  const draw = async () => void scope(() => ops.aten.rand([5]));
  await trainTiny(paths[1], { config: { ...tinyConfig, evaluateEvery: 1, sampleEvery: 2 }, draw });
  const weights = (path: string) => (bits(path) as { tensors: string }).tensors;
  expect(weights(paths[1])).toBe(weights(paths[0]));
});

test("the first signal is heard, the second has its ordinary effect", () => {
  const listeners = process.listenerCount("SIGTERM");
  const heard: string[] = [];
  const interrupt = new Interrupt((signal) => heard.push(signal));
  expect(process.listenerCount("SIGTERM")).toBe(listeners + 1);
  expect([interrupt.requested, interrupt.exitCode]).toEqual([false, 0]);
  process.emit("SIGTERM", "SIGTERM");
  expect(heard).toEqual(["SIGTERM"]);
  expect([interrupt.requested, interrupt.exitCode]).toEqual([true, 143]);
  expect(process.listenerCount("SIGTERM")).toBe(listeners);
});
