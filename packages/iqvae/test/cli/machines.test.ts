import { mkdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { NAMES, TwoMachines } from "../../../torch/test/two-machines.ts";
import { GroupRuns, SET } from "./group-runs.ts";
import type { Ended } from "./program.ts";

const [machines, unplugged] = [new TwoMachines(), new TwoMachines()] as const;
/** One disk each: the run is on the first alone. */
const disks = [new GroupRuns(), new GroupRuns()] as const;
afterAll(() => {
  machines.remove();
  unplugged.remove();
  for (const disk of disks) disk.remove();
});

/** Starts a command on both, as Kubernetes starts a pod of one process on each. */
function start(on: TwoMachines, port: number, args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  return disks.map((disk, rank) => {
    const place = { RANK: `${rank}`, WORLD_SIZE: "2", MASTER_ADDR: NAMES[0], MASTER_PORT: `${port}` };
    // A folder for what is told to others of one machine.
    const temporary = disk.at("tmp");
    mkdirSync(temporary, { recursive: true });
    const by = [...on.by(rank), process.execPath];
    return disk.startBy(by, [...args, "--json"], { ...place, TMPDIR: temporary, ...env });
  });
}

describe.skipIf(!machines.exist)("a training on two machines", () => {
  const [disk, other] = disks;
  /** How those ended whose cable was pulled: they wait for their time-out while the others train, which takes no processor from them. */
  let lost: Promise<Ended[]>;

  beforeAll(async () => {
    const args = ["train", "tiny", "--name", "unplugged", ...SET, "--set", "stage2.steps=100000"];
    const both = start(unplugged, 29_620, args, { IQVAE_GROUP_TIMEOUT: "15" });
    await both[0]!.said('"event":"checkpoint","stage":"stage2"');
    unplugged.unplug();
    lost = Promise.all(both.map(({ ended }) => ended));
  });

  test("ends in the bits of two processes on one, with the run on the first alone", async () => {
    const ended = await Promise.all(
      start(machines, 29_610, ["train", "tiny", "--name", "apart", ...SET]).map(({ ended }) => ended),
    );
    expect(ended.map(({ code, err }) => [code, err])).toEqual([
      [0, ""],
      [0, ""],
    ]);
    expect(await disk.train("together").ended).toMatchObject({ code: 0, err: "" });
    expect(disk.result("apart")).toEqual(disk.result("together"));
    expect(other.steps("apart")).toEqual([undefined, undefined]);
  });

  test("whose cable is pulled ends on both within the time-out, and is kept", async () => {
    const [first, second] = await lost;
    expect([first!.code, second!.code]).toEqual([1, 1]);
    expect(first!.out).toMatch(/"event":"error".*Rank 0 of 2 .* within 15 s.*runs\/unplugged/);
    expect(second!.out + second!.err).toMatch(/Rank 1 of 2 .* within 15 s/);
    expect(disk.steps("unplugged")[1]).toBeGreaterThan(0);
  });
});
