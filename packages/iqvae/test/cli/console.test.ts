import { describe, expect, test, vi } from "vitest";
import { consoleProgress, duration } from "../../src/cli/console.ts";
import { Pace } from "../../src/support/progress.ts";

/** Collects what is written; as a terminal it has what the bar asks for. */
function output(isTTY: boolean) {
  let text = "";
  return {
    isTTY,
    columns: 120,
    write(part: string | Uint8Array) {
      text += part;
      return true;
    },
    text: () => text,
  };
}

/** Lets time pass in steps of a second. */
function withClock(body: (tick: () => void) => void): void {
  vi.useFakeTimers({ toFake: ["performance", "Date", "setTimeout", "clearTimeout"] });
  try {
    body(() => vi.advanceTimersByTime(1000));
  } finally {
    vi.useRealTimers();
  }
}

describe("without a terminal", () => {
  test("a line every few seconds, with rate, time left and figures", () => {
    withClock((tick) => {
      const out = output(false);
      const progress = consoleProgress({ json: false, output: out });
      progress.begin("stage1", 100, 40);
      for (let done = 42; done <= 60; done += 2) {
        tick();
        progress.update(done, { loss: 1.23456 });
      }
      progress.tell("A sentence.", { event: "sentence" });
      progress.tell("", { event: "for machines" });
      progress.update(100);
      progress.end();
      expect(out.text().split("\n")).toEqual([
        "stage1: 100 in all, going on from 40",
        "stage1: 50 of 100, 2.0 a second, 0:25 left, loss 1.235",
        "stage1: 60 of 100, 2.0 a second, 0:20 left, loss 1.235",
        "A sentence.",
        "stage1: 100 of 100, 6.0 a second, 0:00 left",
        "",
      ]);
    });
  });
});

describe("for machines", () => {
  test("one JSON object a line", () => {
    withClock((tick) => {
      const out = output(true);
      const progress = consoleProgress({ json: true, output: out });
      progress.begin("stage1", 4, 0);
      progress.update(1, { loss: 2 });
      tick();
      progress.update(2, { loss: 1 });
      progress.tell("A sentence.", { event: "evaluation", loss: 0.5 });
      progress.end();
      const lines = out.text().trimEnd().split("\n");
      expect(lines.map((line) => JSON.parse(line))).toEqual([
        { event: "begin", task: "stage1", done: 0, total: 4 },
        { event: "progress", task: "stage1", done: 2, total: 4, perSecond: 2, secondsLeft: 1, loss: 1 },
        { event: "evaluation", loss: 0.5 },
      ]);
    });
  });
});

describe("on a terminal", () => {
  test("a bar, with sentences above it", () => {
    withClock((tick) => {
      const out = output(true);
      const progress = consoleProgress({ json: false, output: out, env: {} });
      progress.begin("stage1", 10, 0);
      tick();
      progress.update(5, { loss: 3 });
      progress.tell("A sentence.", { event: "sentence" });
      tick();
      progress.end();
      const [before, after] = out.text().split("A sentence.\n") as [string, string];
      // The bar was wiped from the sentence's line and stands below it, until the task's last figures take its place.
      expect(before).toContain("0 %  0 of 10");
      expect(before.lastIndexOf("\x1b[2K")).toBeGreaterThan(before.lastIndexOf("░"));
      expect(after).toContain("50 %  5 of 10  5.0 a second  0:01 left  loss 3.000");
      expect(after.slice(after.lastIndexOf("\x1b[2K") + 4)).toBe("stage1: 5 of 10, loss 3.000\n");
    });
  });
});

test.each([{ TERM: "dumb" }, { NO_COLOR: "1" }])("on a terminal with %j: no escape sequence", (env) => {
  const out = output(true);
  const progress = consoleProgress({ json: false, output: out, env });
  progress.begin("stage1", 10, 0);
  progress.update(10, { loss: 3 });
  progress.tell("A sentence.", { event: "sentence" });
  progress.end();
  expect(out.text()).toContain("stage1: 10 of 10");
  expect(out.text()).not.toContain("\x1b");
});

test("a bar is no longer than the terminal is wide: a wrapped line could not be erased", () => {
  const out = { ...output(true), columns: 30 };
  const progress = consoleProgress({ json: false, output: out, env: {} });
  progress.begin("a task with a long name", 10, 0);
  expect(out.text()).toBe(`\r\x1b[2K${"a task with a long name ░░░░░░░░░░░░".slice(0, 29)}`);
});

test("the pace is that of the last seconds", () => {
  let now = 0;
  const pace = new Pace(1000, 0, () => now);
  expect([pace.perSecond, pace.secondsLeft]).toEqual([0, undefined]);
  for (now = 1; now <= 100; now++) pace.update(now);
  expect(pace.perSecond).toBeCloseTo(1);
  for (let i = 1; i <= 20; i++, now++) pace.update(100 + 10 * i);
  expect(pace.perSecond).toBeCloseTo(10, 0);
  expect(pace.secondsLeft).toBeCloseTo(700 / pace.perSecond, 6);
});

test.each([
  [0, "0:00"],
  [75.4, "1:15"],
  [3599.6, "1:00:00"],
  [3675, "1:01:15"],
])("%d seconds are %s", (seconds, text) => expect(duration(seconds)).toBe(text));

test("a terminal without a size has the bar of one that is 80 wide", () => {
  const lines = [0, 80].map((columns) => {
    const out = { ...output(true), columns };
    const progress = consoleProgress({ json: false, output: out, env: {} });
    progress.begin("stage1", 300, 30);
    return out.text();
  });
  expect(lines[0]).toBe(lines[1]);
  expect(lines[0]).toMatch(/30 of 300$/);
});
