import { getNumThreads, setNumThreads } from "@iqvae/torch";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ThreadChoice } from "../../src/sampling/thread-choice.ts";

let before = 0;
beforeEach(() => {
  before = getNumThreads();
  setNumThreads(2);
});
afterEach(() => setNumThreads(before));

/** Runs work that takes as long as `cost` says for the threads it has, and counts the threads that it had. */
function count(pieces: number, cost: (threads: number, piece: number) => number): Record<number, number> {
  let clock = 0;
  const choice = new ThreadChoice(() => clock);
  const seen: Record<number, number> = {};
  for (let piece = 0; piece < pieces; piece++)
    choice.run(() => {
      clock += cost(getNumThreads(), piece);
      seen[getNumThreads()] = (seen[getNumThreads()] ?? 0) + 1;
    });
  expect(getNumThreads()).toBe(2);
  return seen;
}

test("whichever is faster does the work, but for one piece in 16", () => {
  expect(count(162, (threads) => (threads === 1 ? 3 : 2))).toEqual({ 1: 11, 2: 151 });
  expect(count(162, (threads) => (threads === 1 ? 2 : 3))).toEqual({ 1: 151, 2: 11 });
});

test("the choice follows a machine that becomes busy", () => {
  const seen = count(402, (threads, piece) => (threads === 1 ? 3 : piece < 202 ? 2 : 9));
  expect(seen[1]).toBeGreaterThan(180);
  expect(seen[2]).toBeGreaterThan(180);
});

test("one thread is not measured, and a failure leaves the threads as they were", () => {
  const choice = new ThreadChoice(() => expect.fail("the clock was read"));
  setNumThreads(1);
  expect(choice.run(() => "done")).toBe("done");
  setNumThreads(2);
  const other = new ThreadChoice();
  const fail = (): never => {
    throw new Error("no");
  };
  for (let i = 0; i < 3; i++) expect(() => other.run(fail)).toThrow("no");
  other.run(() => 0);
  expect(() => other.run(fail)).toThrow("no");
  expect(getNumThreads()).toBe(2);
});
