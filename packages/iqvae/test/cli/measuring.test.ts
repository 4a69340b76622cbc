import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { afterAll, expect, test } from "vitest";
import { Workspace } from "./program.ts";

const workspace = new Workspace();
afterAll(() => workspace.remove());

/** All cores, and a folder of its own for what is temporary. */
const start = (...args: string[]) =>
  workspace.startBy([process.execPath], args, { OMP_NUM_THREADS: undefined, TMPDIR: workspace.path });
const temporary = () => readdirSync(workspace.path).filter((name) => name.startsWith("iqvae-"));
const several = availableParallelism() > 1;

/** The processes that time steps for this workspace. */
const timing = () =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(`time-steps\0${workspace.path}`);
      } catch {
        return false;
      }
    });

test.runIf(several)("what makes a training impossible is said before anything is measured", async () => {
  for (const [args, reason] of [
    [["paper-cub"], /--set data\.path=PATH/],
    [["start", "--set", "data.count=3"], /Raise data\.count/],
  ] as const) {
    const { code, out, err } = await start("train", ...args).ended;
    expect({ code, err }).toEqual({ code: 1, err: expect.stringMatching(reason) });
    expect(out).not.toContain("Measuring");
  }
});

test.runIf(several && process.platform === "linux").each([
  ["SIGTERM", 143],
  ["SIGINT", 130],
] as const)("%s ends a measurement at once, with all that it began", async (signal, exitCode) => {
  const { child, said, ended } = start("train", "start", "--set", "data.count=60", "--set", "stage1.batch=512");
  await said("Measuring");
  while (timing().length === 0) await new Promise((done) => setTimeout(done, 50));
  expect(temporary()).toHaveLength(1);
  child.kill(signal);
  const { code, err } = await ended;
  expect({ code, err }).toEqual({ code: exitCode, err: "" });
  expect(timing()).toEqual([]);
  expect(temporary()).toEqual([]);
  expect(readdirSync(workspace.path)).not.toContain("runs");
});
