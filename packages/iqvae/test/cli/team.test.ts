import { once } from "node:events";
import { createServer } from "node:net";
import { afterEach, describe, expect, test, vi } from "vitest";
import { exitCodeOf, freePort, worseOf } from "../../src/cli/local-processes.ts";
import { joinPeers, takeOwnDevice } from "../../src/cli/team.ts";

/** What CUDA_VISIBLE_DEVICES is after it was `before`, in process 2 of 4 on a machine. */
function visible(before: string | undefined, launch: Record<string, string> = {}): string | undefined {
  const launcher = { RANK: "6", WORLD_SIZE: "8", LOCAL_RANK: "2", LOCAL_WORLD_SIZE: "4", MASTER_ADDR: "a", ...launch };
  const env: NodeJS.ProcessEnv = { ...launcher, ...(before !== undefined && { CUDA_VISIBLE_DEVICES: before }) };
  takeOwnDevice(env);
  return env.CUDA_VISIBLE_DEVICES;
}

describe("the CUDA device of a process", () => {
  test.each([
    [undefined, "2"],
    ["4,5,6,7", "6"],
    ["3", "3"], // the launcher gave each process its own
    ["0,1", "0,1"], // fewer than processes: libtorch says so
  ])("among %s is %s", (before, after) => expect(visible(before)).toBe(after));

  test("is left alone for one process, and where a launcher's variables make no sense", () => {
    expect(visible(undefined, { RANK: "0", WORLD_SIZE: "1", LOCAL_RANK: "0", LOCAL_WORLD_SIZE: "1" })).toBeUndefined();
    expect(visible(undefined, { RANK: "9" })).toBeUndefined();
    const alone: NodeJS.ProcessEnv = {};
    takeOwnDevice(alone);
    expect(alone).toEqual({});
  });
});

afterEach(() => vi.unstubAllEnvs());

test.each(["0", "-1", "soon", "Infinity", "1e10"])("IQVAE_GROUP_TIMEOUT of %s is refused", (text) => {
  const launcher = {
    RANK: "0",
    WORLD_SIZE: "2",
    MASTER_ADDR: "127.0.0.1",
    MASTER_PORT: "1",
    IQVAE_GROUP_TIMEOUT: text,
  };
  for (const [name, value] of Object.entries(launcher)) vi.stubEnv(name, value);
  expect(() => joinPeers("cpu", undefined)).toThrow(new RegExp(`IQVAE_GROUP_TIMEOUT is '${text}'.*million`));
});

test.each([
  [143, "SIGINT", 130], // a rank heard of Ctrl-C from another first
  [130, "SIGINT", 130],
  [130, "SIGTERM", 143],
  [143, "SIGHUP", 129],
  [1, "SIGINT", 1], // what could not be saved stays a failure
  [143, undefined, 143], // a rank was asked by itself
] as const)("ranks that end with %i, asked by %s: exit code %i", (failed, asked, code) => {
  expect(exitCodeOf(failed, asked)).toBe(code);
});

test.each([
  [[1, 143], 1],
  [[143, 141], 141], // the first heard that the other's pipe was closed
  [[143, 1], 1],
  [[143, null], 143], // and the other was given up
  [[null, 143], 1],
] as const)("ranks that end with %j, one after the other: %i counts", (codes, code) => {
  expect(codes.reduce<number | undefined>(worseOf, undefined)).toBe(code);
});

test("ranks meet at a port that is free, and that systems give to nobody who asks for any", async () => {
  const port = await freePort();
  const other = createServer().listen(port);
  await once(other, "listening");
  const next = await freePort();
  other.close();
  for (const each of [port, next]) expect(each).toBeLessThan(32_768);
  expect(next).not.toBe(port);
});
