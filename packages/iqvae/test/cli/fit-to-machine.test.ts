import { readFileSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { fitted, PATIENCE } from "../../src/cli/fit-to-machine.ts";
import { loadConfig } from "../../src/config/index.ts";
import { Workspace } from "./program.ts";

const config = loadConfig("start");
const { steps: first } = config.stage1;
const { steps: second } = config.stage2;

test("a machine that is fast enough trains the whole preset", () => {
  const { config: fits, seconds } = fitted(config, { stage1: 0.05, stage2: 0.1 });
  expect(fits).toBe(config);
  expect(seconds).toBeCloseTo(1.15 * (0.05 * first + 0.1 * second));
});

test("a slower one trains fewer steps of both stages in their proportion, and is done in time", () => {
  const each = { stage1: 0.3, stage2: 0.6 };
  const { config: fits, seconds } = fitted(config, each);
  expect(seconds).toBeCloseTo(PATIENCE);
  expect(1.15 * (each.stage1 * fits.stage1.steps + each.stage2 * fits.stage2.steps)).toBeCloseTo(PATIENCE, -1);
  expect(fits.stage1.steps / first).toBeCloseTo(fits.stage2.steps / second, 1);
  expect({ ...fits, stage1: config.stage1, stage2: config.stage2 }).toEqual(config);
});

test("but no machine trains less than a fifth", () => {
  const { config: fits, seconds } = fitted(config, { stage1: 10, stage2: 10 });
  expect([fits.stage1.steps, fits.stage2.steps]).toEqual([first / 5, second / 5]);
  expect(seconds).toBeCloseTo(0.2 * 1.15 * 10 * (first + second));
});

const workspace = new Workspace();
afterAll(() => workspace.remove());

test("iqvae start measures the machine before it trains, and says how long it will take, unless steps are given", async () => {
  const events = async (...more: string[]) => {
    const { code, out } = await workspace.command("start", "--preset", "tiny", "--json", "--threads", "1", ...more);
    expect(code).toBe(0);
    return out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  };
  const all = await events();
  const sized = all.find(({ event }) => event === "sized");
  expect(sized).toMatchObject({ stage1: 30, stage2: 30, shorter: false });
  expect(sized!.seconds).toBeGreaterThan(0);
  expect(all.findIndex(({ event }) => event === "sized")).toBeLessThan(all.findIndex(({ event }) => event === "run"));
  const again = await events();
  expect(again.map(({ event }) => event)).not.toContain("sized");
});

test("what does not fit is cut in the run itself", async () => {
  // 5,000 steps at 64 pixels are hours of a thread.
  const { child, said, ended } = workspace.start(
    ...["start", "--preset", "faces", "--set", "data.count=60", "--json", "--threads", "1"],
  );
  await said('"event":"run"');
  child.kill("SIGKILL");
  const { out } = await ended;
  const sized = out
    .split("\n")
    .filter((line) => line.includes('"sized"'))
    .map((line) => JSON.parse(line) as Record<string, unknown>)[0];
  const { stage1, stage2 } = JSON.parse(readFileSync(workspace.at("runs", "faces", "config.json"), "utf8"));
  expect(sized).toMatchObject({ stage1: stage1.steps, stage2: stage2.steps, shorter: true });
  expect(stage1.steps).toBeLessThan(loadConfig("faces").stage1.steps);
  expect(stage2.steps).toBeLessThan(loadConfig("faces").stage2.steps);
});
