import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { chooseProcesses, timeApart } from "../../src/cli/choose-processes.ts";
import { resumeCommand, trainCommand } from "../../src/cli/train.ts";
import { loadConfig } from "../../src/config/index.ts";
import { saveCheckpoint } from "../../src/run/checkpoint.ts";
import { createRun } from "../../src/run/run-folder.ts";
import { silent } from "../../src/support/progress.ts";
import { temporaryFolder } from "../run/support.ts";

beforeEach(() => vi.stubEnv("OMP_NUM_THREADS", ""));
afterEach(() => vi.unstubAllEnvs());

const cpu = { device: "cpu" };
const long = loadConfig("start");
/** Seconds of a step of both stages, and who was timed. */
function timed(one: [number, number], several: [number, number]) {
  const asked: number[] = [];
  const time = async (_: unknown, processes: number) => {
    asked.push(processes);
    const [stage1, stage2] = processes === 1 ? one : several;
    return { stage1, stage2 };
  };
  return { asked, time, cores: 2 };
}
const { stage1, stage2 } = long;

test("the help of what chooses the number of processes does not promise one", () => {
  for (const [command, usual] of [
    [trainCommand(), "1, or one per core"],
    [resumeCommand(), "as many as before"],
  ] as const) {
    const help = command.options.find(({ long }) => long === "--processes")!.description;
    expect(help).toContain(`(default: ${usual}`);
  }
});

describe("the number of processes", () => {
  test("is what trains both stages sooner, as measured", async () => {
    // As much slower in the first stage as a step of the second is quicker, and then a little less.
    const [even, less] = [stage1.steps / stage2.steps, (0.8 * stage1.steps) / stage2.steps];
    for (const [gained, chosen] of [
      [2 * even, 2],
      [less, 1],
    ] as const) {
      const measured = timed([1, 3 * even], [2, 3 * even - gained]);
      expect(await chooseProcesses(long, cpu, silent, measured)).toBe(chosen);
      expect(measured.asked).toEqual([1, 2]);
    }
  });

  test("is as many as there are cores, where batches can be shared among so many", async () => {
    const measured = { ...timed([2, 2], [1, 1]), cores: 7 };
    const shared = { ...long, stage1: { ...stage1, batch: 12 }, stage2: { ...stage2, batch: 6, accumulate: 2 } };
    expect(await chooseProcesses(shared, cpu, silent, measured)).toBe(6);
  });

  test("is one, unmeasured, for what is soon over, odd batches, GPUs, and where threads are asked for", async () => {
    const measured = timed([2, 2], [1, 1]);
    const odd = { ...long, stage1: { ...stage1, batch: 33 } };
    expect(await chooseProcesses(loadConfig("tiny"), cpu, silent, measured)).toBe(1);
    expect(await chooseProcesses(odd, cpu, silent, measured)).toBe(1);
    expect(await chooseProcesses(long, { device: "cuda:0" }, silent, measured)).toBe(1);
    expect(await chooseProcesses(long, { ...cpu, threads: 2 }, silent, measured)).toBe(1);
    vi.stubEnv("OMP_NUM_THREADS", "2");
    expect(await chooseProcesses(long, cpu, silent, measured)).toBe(1);
    expect(measured.asked).toEqual([]);
  });

  test("is measured by whole steps, in processes of their own", async () => {
    const seconds = await timeApart(loadConfig("tiny"), 2, 2);
    expect(seconds).toEqual({ event: "times", stage1: expect.any(Number), stage2: expect.any(Number) });
    expect(Math.min(seconds!.stage1, seconds!.stage2)).toBeGreaterThan(0);
  });

  test("is one where nothing could be measured, and what was asked for always", async () => {
    const time = () => Promise.resolve(undefined);
    expect(await chooseProcesses(long, cpu, silent, { time, cores: 2 })).toBe(1);
    expect(await chooseProcesses(long, { ...cpu, processes: 3 }, silent, { cores: 2 })).toBe(3);
  });

  test("is measured once all else is there, and no further where that takes too long", async () => {
    const measured = timed([2, 2], [1, 1]);
    const prepare = () => Promise.reject(new Error("no data"));
    await expect(chooseProcesses(long, cpu, silent, { ...measured, prepare })).rejects.toThrow("no data");
    expect(await chooseProcesses(loadConfig("paper-cub"), cpu, silent, measured)).toBe(1);
    expect(measured.asked).toEqual([]);
    const time = vi.fn(() => Promise.resolve(undefined));
    await chooseProcesses(long, cpu, silent, { time, cores: 2 });
    expect(time).toHaveBeenCalledTimes(1);
  });

  test("stays that of a run that has begun, unless this machine has fewer cores", async () => {
    const run = createRun(join(temporaryFolder(), "run"), long);
    const measured = timed([2, 2], [1, 1]);
    for (const [processes, cores, chosen] of [
      [4, 8, 4],
      [4, 2, 1],
      [undefined, 2, 1],
    ] as const) {
      const step = processes ?? 9;
      saveCheckpoint(run.checkpoints, { ...EMPTY, step, ...(processes !== undefined && { processes }) }, new Map(), []);
      expect(await chooseProcesses(long, cpu, silent, { ...measured, run, cores })).toBe(chosen);
    }
    expect(measured.asked).toEqual([]);
  });
});

const EMPTY = {
  stage: "stage1" as const,
  basis: {},
  loader: { epoch: 0, position: 0 },
  means: { count: 0, sums: {} },
  trainer: {},
  evaluation: null,
};
