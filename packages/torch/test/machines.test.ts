import { afterAll, describe, expect, test } from "vitest";
import { compiledChild } from "./children/compiled.ts";
import { freePort, launcherEnv, runOne } from "./group-processes.ts";
import { NAMES, TwoMachines } from "./two-machines.ts";

const machines = new TwoMachines();
afterAll(() => machines.remove());
const script = compiledChild("group.mjs");

/** Half of the ranks on each machine. */
async function group(size: number, args: readonly string[], env: (machine: number) => Record<string, string>) {
  const port = await freePort();
  const each = size / 2;
  const one = (rank: number) => {
    const machine = Math.floor(rank / each);
    const local = { LOCAL_RANK: `${rank % each}`, LOCAL_WORLD_SIZE: `${each}` };
    return runOne(
      [script, ...args],
      { ...launcherEnv(rank, size, port), ...local, ...env(machine) },
      machines.by(machine),
    );
  };
  return await Promise.all(Array.from({ length: size }, (_, rank) => one(rank)));
}

describe.skipIf(!machines.exist)("ranks on two machines, whose own names mean a loopback", () => {
  test.each<[string, number, (machine: number) => string]>([
    ["of two, rank 0 by address", 2, () => machines.addresses[0]],
    ["of four ranks, rank 0 by name, and by localhost on its machine", 4, (i) => (i === 0 ? "localhost" : NAMES[0])],
  ])("find each other: %s", async (_, size, master) => {
    const ended = await group(size, ["twice", "60"], (machine) => ({ MASTER_ADDR: master(machine) }));
    for (const { said, code, stderr } of ended)
      expect([said, code, stderr]).toEqual([[[(size * (size - 1)) / 2]], 0, ""]);
  });

  test("say at once that they cannot connect to each other", async () => {
    const began = performance.now();
    const lost = { MASTER_ADDR: NAMES[0], GLOO_SOCKET_IFNAME: "lo" };
    for (const [rank, { said, code }] of (await group(2, ["join", "120"], () => lost)).entries()) {
      const { name, message } = said[0] as { name: string; message: string };
      expect([name, code]).toEqual(["GroupError", 1]);
      expect(message).toMatch(
        new RegExp(`^Rank ${rank} of 2 .*node-a:.*firewall.*GLOO_SOCKET_IFNAME.*(refused|rank 0)`),
      );
    }
    expect(performance.now() - began).toBeLessThan(100_000);
  });
});
