import { appendFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Means, MetricsLog, type MetricsRecord, readMetrics } from "../../src/run/metrics-log.ts";
import { temporaryFolder } from "./support.ts";

const record = (step: number, stage: "stage1" | "stage2" = "stage1"): MetricsRecord => ({
  stage,
  step,
  split: "train",
  loss: step / 8,
});

function logWith(records: readonly MetricsRecord[]): MetricsLog {
  const log = new MetricsLog(join(temporaryFolder(), "metrics.jsonl"));
  for (const one of records) log.append(one);
  log.close();
  return log;
}

describe("the log of metrics", () => {
  test("gives back what was added, across closings", () => {
    const log = logWith([record(1), record(2)]);
    log.append(record(3));
    log.flush();
    expect(readMetrics(log.path)).toEqual([record(1), record(2), record(3)]);
  });

  test("cut back to a checkpoint has each line once, whatever was written after it", async () => {
    const steps = fc.array(fc.integer({ min: 1, max: 20 }), { maxLength: 12 }).map((all) => all.sort((a, b) => a - b));
    await fc.assert(
      fc.property(steps, steps, fc.integer({ min: 0, max: 20 }), (first, second, cut) => {
        const before = [...first.map((step) => record(step)), ...second.map((step) => record(step, "stage2"))];
        const one = logWith(before);
        one.cutBack("stage1", cut);
        expect(readMetrics(one.path)).toEqual(before.filter((r) => r.stage === "stage1" && r.step <= cut));
        const two = logWith(before);
        two.cutBack("stage2", cut);
        expect(readMetrics(two.path)).toEqual(before.filter((r) => r.stage === "stage1" || r.step <= cut));
      }),
      { numRuns: 40 },
    );
  });

  test("tells the kinds of lines of one stage's step", () => {
    const log = logWith([record(2), { ...record(2, "stage2"), split: "validation" }]);
    expect([log.splitsAt("stage1", 2), log.splitsAt("stage2", 2)]).toEqual([
      new Set(["train"]),
      new Set(["validation"]),
    ]);
    expect(log.splitsAt("stage1", 1)).toEqual(new Set());
  });

  test("bears a half last line, as a kill leaves it, at every length", () => {
    const whole = logWith([record(1), record(2)]);
    const text = readFileSync(whole.path);
    const lineEnd = text.indexOf("\n") + 1;
    for (let length = lineEnd; length < text.length; length++) {
      const log = logWith([record(1), record(2)]);
      truncateSync(log.path, length);
      expect(readMetrics(log.path)).toEqual([record(1)]);
      log.cutBack("stage1", 9);
      log.append(record(2));
      expect(readMetrics(log.path)).toEqual([record(1), record(2)]);
    }
  });

  test("names a line in its middle that is none", () => {
    const log = logWith([record(1)]);
    appendFileSync(log.path, "{oops\n");
    log.append(record(2));
    expect(() => readMetrics(log.path)).toThrow(
      `${log.path}, line 2 is not a metrics record: {oops. Delete that line.`,
    );
    writeFileSync(log.path, '{"stage":"stage7","step":1}\n');
    expect(() => readMetrics(log.path)).toThrow("line 1 is not a metrics record");
  });

  test("bears the mark that an editor puts before a text", () => {
    const log = logWith([record(1), record(2)]);
    writeFileSync(log.path, `\ufeff${readFileSync(log.path, "utf8")}`);
    expect(readMetrics(log.path)).toEqual([record(1), record(2)]);
  });

  test("says which file cannot be read, and where a link that leads nowhere does", () => {
    const path = join(temporaryFolder(), "metrics.jsonl");
    mkdirSync(path);
    expect(() => readMetrics(path)).toThrow(`The log ${path} cannot be read: it is a folder.`);
    rmSync(path, { recursive: true });
    symlinkSync("/not/there/metrics.jsonl", path);
    expect(() => new MetricsLog(path).append(record(1))).toThrow(
      `Could not write ${path}: there is no folder /not/there.`,
    );
  });

  test("is empty before it is written", () => {
    const log = new MetricsLog(join(temporaryFolder(), "metrics.jsonl"));
    log.cutBack("stage1", 3);
    expect(readMetrics(log.path)).toEqual([]);
  });
});

test("means are those of all steps since the last line, over a restoration too", async () => {
  const values = fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: 2, maxLength: 20 });
  await fc.assert(
    fc.property(values, fc.nat(), (losses, at) => {
      const [whole, before, after] = [new Means(), new Means(), new Means()];
      const cut = at % losses.length;
      for (const loss of losses) whole.add({ loss });
      for (const loss of losses.slice(0, cut)) before.add({ loss });
      after.restore(JSON.parse(JSON.stringify(before.state)));
      for (const loss of losses.slice(cut)) after.add({ loss });
      const mean = losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
      expect(after.current.loss).toBeCloseTo(mean, 6);
      expect([after.current, after.count]).toEqual([whole.current, losses.length]);
      after.clear();
      expect([after.current, after.count]).toEqual([{}, 0]);
    }),
  );
});

test("a metric that begins within a line has the mean of its own steps, over a restoration too", () => {
  const [whole, before, after] = [new Means(), new Means(), new Means()];
  const steps = [{ loss: 1 }, { loss: 2 }, { loss: 3, late: 10 }, { loss: 6, late: 20 }];
  for (const step of steps) whole.add(step);
  for (const step of steps.slice(0, 3)) before.add(step);
  after.restore(JSON.parse(JSON.stringify(before.state)));
  after.add(steps[3]!);
  expect(whole.current).toEqual({ loss: 3, late: 15 });
  expect(after.current).toEqual(whole.current);
  after.restore({ count: 4, sums: { loss: 8 } }); // as older checkpoints have it
  expect(after.current).toEqual({ loss: 2 });
});
