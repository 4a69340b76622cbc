import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Job, schedule } from "../../src/reproduce/schedule.ts";

const turn = () => new Promise((done) => setImmediate(done));

/** Jobs `0 … n − 1`, each after one of a smaller number or after none; `fails` of them. */
const jobsArbitrary = fc
  .array(fc.record({ after: fc.option(fc.nat()), fails: fc.boolean(), turns: fc.nat(4) }), { maxLength: 12 })
  .map((all) => all.map((one, i) => ({ ...one, after: one.after === null || i === 0 ? null : one.after % i })));

test("whatever waits for what: order, bound and outcomes are as promised", async () => {
  await fc.assert(
    fc.asyncProperty(jobsArbitrary, fc.integer({ min: 1, max: 4 }), async (all, parallel) => {
      const ended = new Set<number>();
      let running = 0;
      const jobs = all.map(({ after }, subject): Job<number> => ({ subject, after }));
      const outcomes = await schedule(jobs, parallel, async (subject) => {
        const { after, fails, turns } = all[subject]!;
        expect(after === null || ended.has(after)).toBe(true);
        expect(++running).toBeLessThanOrEqual(parallel);
        for (let i = 0; i < turns; i++) await turn();
        running--;
        if (fails) throw new Error(`job ${subject}`);
        ended.add(subject);
      });
      expect(running).toBe(0);
      expect(outcomes.size).toBe(all.length);
      all.forEach(({ after, fails }, subject) => {
        const lost = after !== null && outcomes.get(after) !== "done";
        const outcome = outcomes.get(subject);
        if (lost) expect((outcome as Error).message).toBe("what it builds on failed");
        else if (fails) expect((outcome as Error).message).toBe(`job ${subject}`);
        else expect(outcome).toBe("done");
      });
    }),
  );
});

describe("when it is stopped", () => {
  test("what runs is waited for, and nothing further begun", async () => {
    const begun: number[] = [];
    const jobs = [0, 1, 2, 3].map((subject): Job<number> => ({ subject, after: null }));
    const work = async (subject: number) => {
      begun.push(subject);
      await turn();
    };
    const outcomes = await schedule(jobs, 2, work, () => begun.length >= 3);
    expect(begun).toEqual([0, 1, 2]);
    expect([...outcomes]).toEqual([
      [0, "done"],
      [1, "done"],
      [2, "done"],
    ]);
  });
});

test("as many run at a time as may", async () => {
  let most = 0;
  let running = 0;
  const jobs = Array.from({ length: 9 }, (_, subject): Job<number> => ({ subject, after: null }));
  await schedule(jobs, 3, async () => {
    most = Math.max(most, ++running);
    await turn();
    running--;
  });
  expect(most).toBe(3);
});
