import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { lockRun } from "../../src/run/lock.ts";
import { createRun, discardUnbegun, openRun } from "../../src/run/run-folder.ts";
import { temporaryFolder, tinyConfig } from "./support.ts";

test("a run that has not begun is taken away whole", () => {
  const path = join(temporaryFolder(), "run");
  discardUnbegun(createRun(path, tinyConfig));
  expect(existsSync(path)).toBe(false);
});

test.each(["metrics.jsonl", "checkpoints/stage1-00000001.json", "samples/stage1-00000001.png"])(
  "one with %s stays",
  (file) => {
    const path = join(temporaryFolder(), "run");
    const run = createRun(path, tinyConfig);
    writeFileSync(join(path, file), "");
    discardUnbegun(run);
    expect(openRun(path).config).toEqual(tinyConfig);
  },
);

test("one that is being trained stays", () => {
  const path = join(temporaryFolder(), "run");
  const run = createRun(path, tinyConfig);
  const unlock = lockRun(path);
  discardUnbegun(run);
  expect(existsSync(join(path, "config.json"))).toBe(true);
  unlock();
});
