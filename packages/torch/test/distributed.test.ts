import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  allGather,
  allReduce,
  destroyProcessGroup,
  groupBackends,
  initProcessGroup,
  launchOf,
  processGroup,
  tensor,
} from "@iqvae/torch";
import { afterEach, describe, expect, test } from "vitest";
import { compiledChild } from "./children/compiled.ts";
import { type Ended, freePort, launcherEnv, runGroup, runOne } from "./group-processes.ts";

const script = compiledChild("group.mjs");
const group = (size: number, scenario: string, env?: (rank: number) => Record<string, string>) =>
  runGroup(size, [script, scenario, "60"], env);
/** What a launcher says to ranks of which each has a machine of its own. */
const apart = () => ({ LOCAL_RANK: "0", LOCAL_WORLD_SIZE: "1" });
const said = ({ said, stderr }: Ended) => {
  expect(stderr).toBe("");
  return Object.assign({}, ...(said as object[])) as Record<string, unknown>;
};

type Lists = number[][];

function expectClose(values: readonly number[], expected: readonly number[]): void {
  values.forEach((value, i) => {
    expect(value).toBeCloseTo(expected[i]!, 5);
  });
}

interface Failure {
  readonly name: string;
  readonly message: string;
  readonly seconds: number;
  /** Milliseconds of the clock. */
  readonly at: number;
}

/** The ranks of a group on this machine, which go to join it at the same time. */
async function together(scenario: string, ranks: readonly { size: number; timeout: number }[]): Promise<Ended[]> {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), "iqvae-join-"));
  const ended = ranks.map(({ size, timeout }, rank) =>
    runOne([script, scenario, `${timeout}`, folder, `${ranks.length}`], launcherEnv(rank, size, port)),
  );
  return await Promise.all(ended).finally(() => rmSync(folder, { recursive: true }));
}

describe("several processes", () => {
  test.each([
    ["2 on one machine", 2, undefined],
    ["4 on one machine", 4, undefined],
    ["3 on several machines", 3, apart],
  ])("%s reduce, broadcast and gather tensors of every form", async (_, size, env) => {
    const ended = await group(size, "all", env);
    const total = (size * (size + 1)) / 2;
    const all = ended.map((one) => said(one));
    for (const [rank, one] of all.entries()) {
      const { before, after, again, greeting, absent, name, message, seconds, ...others } = one;
      const { plain, reduced, alike, none, factors, own, failures, ...values } = others;
      expect(values).toEqual({
        size,
        refused: expect.stringMatching(/all_reduce_ .*inferenceMode/),
        // Each is told, and the group goes on.
        misused: [
          expect.stringMatching(/^TypeError: allReduce cannot add up booleans: "max" says/),
          expect.stringMatching(/^TypeError: allReduce: the tensors must be a list .* has an array of 2/),
          expect.stringMatching(/^OperatorError: .*no overload fits/),
          expect.stringMatching(/^OperatorError: .*was used after its release/),
        ],
        sum: [total, 2 * total, 3 * total],
        turned: [total, 3 * total, 2 * total, 4 * total],
        whole: [total - size, size],
        scalar: [total - size / 2],
        least: [0, 1 - size],
        most: [size - 1, 0],
        sent: [[1, 10], [1, 0, 0, 1], [1]],
        gathered: Array.from({ length: size }, (_, rank) => [rank, 7]),
      });
      // Means in one message: alike to the bit on all ranks, and when repeated.
      expect(after).toEqual(all[0]!.after);
      expect(again).toEqual(after);
      if (rank === 0) expect([absent, greeting]).toEqual(["nothing", "grüß dich, 世界"]);
      // Gradients in one bucket and in several; twice, and then of two passes.
      expect([alike, none, own]).toEqual([true, true, factors]);
      expect(reduced).toHaveLength(6);
      for (const [i, lists] of (reduced as Lists[]).entries()) {
        const expected = (plain as Lists).map((list) => list.map((value) => (i % 3 === 2 ? 2 : 1) * value));
        // The sum of two has one order.
        if (size === 2) expect(lists).toEqual(expected);
        else for (const [j, list] of lists.entries()) expectClose(list, expected[j]!);
        expect(lists).toEqual((all[0]!.reduced as Lists[])[i]);
      }
      expect((reduced as Lists[])[1]).toEqual((reduced as Lists[])[0]);
      expect(failures).toEqual([
        expect.objectContaining({ message: expect.stringMatching(/GradientBuckets.*arm\(\)/) }),
        expect.objectContaining({ message: expect.stringMatching(/GradientBuckets.*other ranks/) }),
      ]);
      // Lists of unlike shapes, at the end.
      expect([name, message]).toEqual([
        "OperatorError",
        expect.stringContaining("other sizes or memory layouts on other ranks"),
      ]);
    }
    for (const [i, list] of (all[0]!.after as Lists).entries())
      for (const [j, value] of list.entries()) {
        const mean = all.reduce((sum, { before }) => sum + (before as Lists)[i]![j]!, 0) / size;
        expect(value).toBeCloseTo(mean, 5);
      }
  });

  test.each([2, 3])("%i share memory where they are on one machine, and give it back", async (size) => {
    const right = { steps: [1, 2].map((gradient) => [gradient, gradient]) };
    for (const one of await group(size, "memory"))
      expect(said(one)).toEqual({ ...right, sharedMemory: true, pieces: [size, 2 * size, size] });
    for (const one of await group(size, "memory", apart))
      expect(said(one)).toEqual({ ...right, sharedMemory: false, pieces: [0, 0, 0] });
  });

  // In units of 512 or 1,024 bytes, by the shell.
  test.each([
    ["for gradients", 4096, 2],
    ["at all", 100, 0],
  ])("send what one of them has no shared memory for %s", async (_, limit, pieces) => {
    const port = await freePort();
    const limited = ["sh", "-c", `ulimit -f ${limit}; exec "$0" "$@"`];
    const ended = [0, 1].map((rank) =>
      runOne([script, "memory", "60"], launcherEnv(rank, 2, port), rank === 0 ? [] : limited),
    );
    for (const [rank, one] of (await Promise.all(ended)).entries()) {
      const own = pieces > 0 && rank === 0 ? 1 : 0; // the buckets of the one that could
      expect(said(one)).toEqual({
        steps: [1, 2].map((gradient) => [gradient, gradient]),
        sharedMemory: pieces > 0,
        pieces: [pieces, pieces + own, pieces],
      });
    }
  });

  test("3 add up what is longer than what they share", async () => {
    for (const one of await group(3, "long")) expect(said(one)).toEqual({ wrong: [] });
  });

  test("leave the group and join another", async () => {
    for (const { said, code } of await group(2, "twice")) expect([said, code]).toEqual([[[1]], 0]);
  });

  test("end with an error of their own", async () => {
    for (const { code, stderr } of await group(2, "thrown")) {
      expect(code).toBe(1);
      expect(stderr).toMatch(/not caught/);
    }
  });
});

describe.concurrent("what can go wrong", () => {
  test.each([
    [2, "lost", undefined, "allReduce"],
    [3, "lost", undefined, "allReduce"],
    [2, "lost", apart, "allReduce"],
    [3, "lostInStep", undefined, "GradientBuckets"],
    [2, "lostInStep", apart, "GradientBuckets"],
  ] as const)("of %i ranks one is %s: the others say so within 2 seconds", async (size, scenario, env, operation) => {
    const ended = await group(size, scenario, env);
    const [{ at: killed }] = ended.at(-1)!.said as [Failure];
    expect(ended.at(-1)!.signal).toBe("SIGKILL");
    for (const [rank, { said }] of ended.slice(0, -1).entries()) {
      const [first, second] = said as Failure[];
      expect(first!.name).toBe("GroupError");
      expect(first!.message).toContain(`Rank ${rank} of ${size}`);
      expect(first!.message).toContain(operation);
      if (env === undefined) expect(first!.message).toMatch(new RegExp(`rank ${size - 1}, process \\d+, has ended`));
      expect(first!.at - killed).toBeLessThan(2000);
      expect(second!.message).toContain(`Rank ${rank} of ${size}`);
    }
  });

  test("one leaves: the other says so", async () => {
    const [first] = await together("left", Array(2).fill({ size: 2, timeout: 60 }));
    const { name, message } = first!.said[0] as Failure;
    expect(name).toBe("GroupError");
    expect(message).toMatch(/Rank 0 of 2 .*barrier.*\(rank 1, process \d+, has left the group\)/);
  });

  test("one hangs: the other gives up after the time-out", async () => {
    const [ended] = await together("hung", Array(2).fill({ size: 2, timeout: 4 }));
    const { said } = ended!;
    const [{ name, message, seconds }] = said as [Failure];
    expect(name).toBe("GroupError");
    expect(message).toMatch(/Rank 0 of 2 .* within 4 s/);
    expect(seconds).toBeGreaterThan(3);
  });

  test("rank 0 is not there, or another one", async () => {
    const port = await freePort();
    const alone = (rank: number) => runOne([script, "join", "2"], launcherEnv(rank, 2, port));
    for (const rank of [1, 0]) {
      const { said, code, stderr } = await alone(rank);
      expect(stderr).toBe("");
      const { name, message } = said[0] as Failure;
      expect([name, code]).toEqual(["GroupError", 1]);
      expect(message).toContain(`Rank ${rank} of 2`);
      expect(message).toContain(`127.0.0.1:${port}`);
      expect(message).toContain(rank === 0 ? "WORLD_SIZE" : "MASTER_ADDR");
    }
  });

  // Seconds enough that the work beside the waiting does not count, on a machine that is slow.
  test.each([
    [
      "one of three is missing",
      [3, 3],
      [10, 6],
      [/Within 10 s not all of 3 ranks came .*Timeout/, /Within 6 s not all of 3 ranks came .*Timeout/],
    ],
    [
      "one of three is missing, and rank 0 gives up first",
      [3, 3],
      [6, 14],
      [/Within 6 s not all of 3 ranks came .*Timeout/, /Not all of 3 ranks came .*reset/],
    ],
    [
      "two say other sizes",
      [2, 3],
      [10, 6],
      [/Within 10 s the 2 ranks, .*could not connect/, /Within 6 s not all of 3 ranks came .*Timeout/],
    ],
  ])("%s: no rank says that rank 0 did not answer", async (_, sizes, timeouts, messages) => {
    const ended = await together(
      "join",
      sizes.map((size, rank) => ({ size, timeout: timeouts[rank]! })),
    );
    for (const [rank, { said, stderr }] of ended.entries()) {
      const { name, message, seconds } = said[0] as Failure;
      expect([name, stderr]).toEqual(["GroupError", ""]);
      expect(message).toMatch(new RegExp(`^Rank ${rank} of ${sizes[rank]} .*${messages[rank]!.source}`));
      expect(message).toContain("WORLD_SIZE");
      expect(message).not.toContain("no store");
      expect(seconds).toBeLessThan(1.6 * timeouts[rank]!); // it waits as long as it says, and not twice
    }
  });

  test("a time-out that nothing can wait for", () => {
    const launch = { ...launchOf({}), size: 2 };
    for (const timeout of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e10])
      expect(() => initProcessGroup({ launch, timeout })).toThrow(new RegExp(`up to 1000000 .*${timeout}`));
  });

  test("the port is taken", async () => {
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, "0.0.0.0", done));
    const { port } = server.address() as { port: number };
    const { said } = await runOne([script, "join", "2"], launcherEnv(0, 2, port));
    server.close();
    expect((said[0] as Failure).message).toMatch(new RegExp(`Port ${port} .* is taken.*MASTER_PORT`));
  });
});

describe("a process alone", () => {
  afterEach(destroyProcessGroup);

  test("is a group of one, whose collectives leave tensors as they are", () => {
    expect(() => allReduce(tensor([1]))).toThrow(/initProcessGroup/);
    expect(() => initProcessGroup({ timout: 5 } as never)).toThrow(/initProcessGroup has no option.*'timeout'/);
    expect(initProcessGroup({ launch: launchOf({}) })).toMatchObject({ rank: 0, size: 1 });
    expect(() => initProcessGroup()).toThrow(/already/);
    const x = tensor([1.5]);
    allReduce(x);
    expect([...x.read("float32"), ...allGather(x)[0]!.read("float32")]).toEqual([1.5, 1.5]);
    destroyProcessGroup();
    expect(processGroup()).toBeUndefined();
  });

  test("knows what it was built with", () => {
    expect(groupBackends()).toContain("gloo");
  });
});

describe("launchers", () => {
  const torchrun = {
    RANK: "3",
    WORLD_SIZE: "4",
    LOCAL_RANK: "1",
    LOCAL_WORLD_SIZE: "2",
    MASTER_ADDR: "a",
    MASTER_PORT: "1000",
  };
  const slurm = {
    SLURM_STEP_ID: "0",
    SLURM_PROCID: "5",
    SLURM_STEP_NUM_TASKS: "8",
    SLURM_LOCALID: "1",
    MASTER_ADDR: "a",
  };

  test("torchrun, with a store of the agent and without", () => {
    const launch = { rank: 3, size: 4, localRank: 1, localSize: 2, address: "a", port: 1000 };
    expect(launchOf(torchrun)).toEqual(launch);
    const agent = { ...torchrun, TORCHELASTIC_USE_AGENT_STORE: "True" };
    expect(launchOf(agent).port).toBe(1001);
    expect(launchOf({ ...agent, TORCHELASTIC_RESTART_COUNT: "2" }).port).toBe(1003);
    expect(launchOf({ ...agent, MASTER_PORT: "65535" }).port).toBe(65534);
    expect(launchOf({ ...torchrun, TORCHELASTIC_USE_AGENT_STORE: "False" }).port).toBe(1000);
  });

  test("Kubernetes, one process a pod", () => {
    expect(launchOf({ RANK: "1", WORLD_SIZE: "2", MASTER_ADDR: "job-0" })).toEqual({
      ...{ rank: 1, size: 2, localRank: 0, localSize: 1 },
      ...{ address: "job-0", port: 29500 },
    });
  });

  test("Slurm's steps, but not its batch scripts", () => {
    const { SLURM_STEP_ID, ...batch } = slurm;
    expect(launchOf({ ...slurm, SLURM_STEP_TASKS_PER_NODE: "2(x4)" })).toMatchObject({
      rank: 5,
      size: 8,
      localRank: 1,
      localSize: 2,
      address: "a",
    });
    expect(launchOf(batch).size).toBe(1);
    expect(
      launchOf({ ...slurm, SLURM_PROCID: "0", SLURM_LOCALID: "0", SLURM_STEP_NUM_TASKS: "1", MASTER_ADDR: undefined })
        .size,
    ).toBe(1);
  });

  test.each([
    [{ ...torchrun, RANK: "4" }, /rank 4 of 4/],
    [{ ...torchrun, LOCAL_RANK: "2" }, /rank 2 of 2 on this machine/],
    [{ ...torchrun, RANK: undefined }, /RANK is not set/],
    [{ ...torchrun, WORLD_SIZE: "two" }, /WORLD_SIZE is 'two'/],
    [{ ...torchrun, WORLD_SIZE: "0" }, /WORLD_SIZE is '0'/],
    [{ ...torchrun, MASTER_PORT: "70000" }, /MASTER_PORT is '70000'/],
    [{ ...torchrun, MASTER_ADDR: "" }, /MASTER_ADDR/],
    [{ ...slurm, MASTER_ADDR: undefined }, /scontrol show hostnames/],
  ])("%j make no sense", (env, message) => {
    expect(() => launchOf(env)).toThrow(message);
  });
});
