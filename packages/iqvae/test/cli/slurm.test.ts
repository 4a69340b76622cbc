import { spawnSync } from "node:child_process";
import { hostname } from "node:os";
import { afterAll, expect, test } from "vitest";
import { freePort } from "../../../torch/test/group-processes.ts";
import { GroupRuns, SET, STEPS } from "./group-runs.ts";

/** This machine as a node: workspaces of tests are on no other. */
const NODE = hostname().split(".")[0]!;
const JOB = `iqvae-test-${process.pid}`;
const SRUN = ["srun", "--nodes=1", "--ntasks=2", "--cpus-per-task=1", `--job-name=${JOB}`, `--nodelist=${NODE}`];
const idle = spawnSync("sinfo", ["--noheader", "--states=idle", "--Node", "--format=%N"], {
  encoding: "utf8",
  timeout: 10_000,
});
const isThere = (idle.stdout ?? "").split("\n").includes(NODE);
if (!isThere) console.warn("Slurm is not tested: this machine is not an idle node of it.");

const runs = new GroupRuns();
afterAll(() => runs.remove());

async function bySlurm(...args: string[]) {
  const env = { MASTER_ADDR: "127.0.0.1", MASTER_PORT: `${await freePort()}` };
  return runs.startBy([...SRUN, process.execPath], [...args, "--json"], env);
}

test.skipIf(!isThere)(
  "Slurm's SIGTERM stops a training of two tasks, which goes on to the bits of two processes",
  async () => {
    const { said, ended } = await bySlurm("train", "tiny", "--name", "stopped", ...SET);
    await said('"event":"checkpoint","stage":"stage2"');
    // As `--signal` of a job does; srun itself would kill its tasks.
    spawnSync("scancel", ["--signal=TERM", `--name=${JOB}`]);
    const { code, out } = await ended;
    expect(code).toBe(143);
    expect(out).toContain('"event":"interrupted"');
    expect(runs.steps("stopped")[1]).toBeLessThan(STEPS[1]);
    expect((await (await bySlurm("resume", "runs/stopped")).ended).code).toBe(0);
    expect(await runs.train("undisturbed").ended).toMatchObject({ code: 0, err: "" });
    expect(runs.result("stopped")).toEqual(runs.result("undisturbed"));
  },
);
