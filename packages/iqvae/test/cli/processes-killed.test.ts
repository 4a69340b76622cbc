import { existsSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { GroupRuns, STEPS } from "./group-runs.ts";
import type { Ended } from "./program.ts";

const runs = new GroupRuns();
afterAll(() => runs.remove());

/** One that hangs: it waits for nothing but its time-out, which takes no processor from the tests before its own. */
let hung: Promise<Ended>;

beforeAll(async () => {
  const { code, err } = await runs.train("undisturbed").ended;
  expect([code, err]).toEqual([0, ""]);
  // As long as one may wait for the other to load libtorch, too, on a machine that is slow.
  const { ranks, ended } = await runs.underWay("hung", { env: { IQVAE_GROUP_TIMEOUT: "20" } });
  process.kill(ranks[1]!, "SIGSTOP");
  hung = ended;
});

describe("a training in two processes", () => {
  test.each([1, 0])("of which rank %i is killed: the other says so, and it goes on to the bit", async (victim) => {
    const name = `killed-${victim}`;
    const started = performance.now();
    const { ranks, ended } = await runs.underWay(name);
    const began = performance.now();
    process.kill(ranks[victim]!, "SIGKILL");
    const { code, out, err } = await ended;
    // Sooner than it took to come so far, on a machine of any speed, and long before the time-out of the group.
    expect(performance.now() - began).toBeLessThan(began - started);
    expect(code).not.toBe(0);
    expect(err).toContain(`Process ${victim} of 2 was ended by SIGKILL`);
    expect(out).toMatch(new RegExp(`stage2 stopped at step \\d+: Rank ${1 - victim} of 2`));
    if (victim === 1) {
      // What was learned up to that step is kept.
      const step = Number(/stage2 stopped at step (\d+)/.exec(out)![1]);
      expect(runs.steps(name)).toEqual([STEPS[0], step]);
      expect(out).toContain(`npx iqvae resume runs/${name}`);
    }
    expect(existsSync(runs.at("runs", name, "lock.json"))).toBe(victim === 0);
    expect(await runs.run("resume", `runs/${name}`, "--processes", "2")).toMatchObject({ code: 0, err: "" });
    expect(runs.result(name)).toEqual(runs.result("undisturbed"));
  });

  test("of which one is asked to stop: both do, at the same step, and it goes on to the bit", async () => {
    const { ranks, ended } = await runs.underWay("stopped");
    process.kill(ranks[1]!, "SIGTERM");
    const { code, out, err } = await ended;
    expect([code, err]).toEqual([143, ""]);
    expect(out).toContain('"event":"interrupted"');
    expect(runs.steps("stopped")[1]).toBeLessThan(STEPS[1]);
    expect(await runs.run("resume", "runs/stopped", "--processes", "2")).toMatchObject({ code: 0, err: "" });
    expect(runs.result("stopped")).toEqual(runs.result("undisturbed"));
  });

  test("of which one hangs: the other gives it up after the time-out, with what was learned", async () => {
    const { code, out } = await hung;
    expect(code).toBe(1);
    const step = Number(/stage2 stopped at step (\d+): Rank 0 of 2 .* within 20 s.*runs\/hung/.exec(out)?.[1]);
    expect(runs.steps("hung")).toEqual([STEPS[0], step]);
  });
});
