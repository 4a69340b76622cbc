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

test("whichever is faster does the work, but for a fiftieth of the time and one piece in 16 at most", () => {
  // 25 pieces of 2, then one of 3: each trial loses 1 of 50.
  expect(count(152, (threads) => (threads === 1 ? 3 : 2))).toEqual({ 1: 7, 2: 145 });
  expect(count(152, (threads) => (threads === 1 ? 2 : 3))).toEqual({ 1: 145, 2: 7 });
  expect(count(162, (threads) => (threads === 1 ? 2.1 : 2))).toEqual({ 1: 11, 2: 151 });
  expect(count(362, (threads) => (threads === 1 ? 2 : 9))).toEqual({ 1: 359, 2: 3 });
});

test("the choice follows a machine that becomes busy, and one that is idle again", () => {
  const busy = count(402, (threads, piece) => (threads === 1 ? 3 : piece < 202 ? 2 : 9));
  expect(busy[1]).toBeGreaterThan(190);
  expect(busy[2]).toBeGreaterThan(190);
  const idle = count(602, (threads, piece) => (threads === 1 ? 3 : piece < 202 ? 9 : 2));
  expect(idle[2]).toBeGreaterThan(290);
});

test("a hiccup right after a trial does not change the choice", () => {
  let tried = false;
  const seen = count(152, (threads) => {
    const hiccup = tried && threads === 2;
    tried = threads === 1;
    return threads === 1 ? 3 : hiccup ? 5 : 2;
  });
  expect(seen).toEqual({ 1: 7, 2: 145 });
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
