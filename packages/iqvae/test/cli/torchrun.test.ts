import { spawnSync } from "node:child_process";
import { afterAll, expect, test } from "vitest";
import { GroupRuns, ranksOf, SET } from "./group-runs.ts";

/** Of the PyTorch 2 that is in the path, or that the variable names: that of 1.13 has no such options. */
const TORCHRUN = process.env.TORCHRUN ?? "torchrun";
const isThere = String(spawnSync(TORCHRUN, ["--help"]).stdout).includes("--nproc-per-node");
if (!isThere)
  console.warn(`torchrun is not tested: there is no ${TORCHRUN} of PyTorch 2. Name one by the variable TORCHRUN.`);

const runs = new GroupRuns();
afterAll(() => runs.remove());

test.skipIf(!isThere)(
  "torchrun starts a lost training anew, which ends in the bits of one that was not lost",
  async () => {
    const launch = [TORCHRUN, "--no-python", "--nproc-per-node", "2", "--max-restarts", "1", "--standalone"];
    const { child, said, ended } = runs.startBy(
      [...launch, process.execPath],
      ["train", "tiny", "--name", "lost", "--json", ...SET],
    );
    await said('"event":"checkpoint","stage":"stage2"');
    process.kill(ranksOf(child.pid!)[1]!, "SIGKILL");
    expect((await ended).code).toBe(0);
    expect(await runs.train("undisturbed").ended).toMatchObject({ code: 0, err: "" });
    expect(runs.result("lost")).toEqual(runs.result("undisturbed"));
  },
);
