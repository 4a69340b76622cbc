import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const bench = fileURLToPath(new URL("../../../../bench/serve.mjs", import.meta.url));

test("under a load of some seconds, of every kind of client, nothing is lost", () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [bench, "--seconds", "4", "--clients", "20"], {
    encoding: "utf8",
  });
  expect([status, stderr]).toEqual([0, ""]);
  const { counts, lost, p95, dropped, memory } = JSON.parse(stdout);
  expect(lost).toBe(0);
  expect(Object.keys(counts).sort()).toEqual(["hangs up", "malformed", "plain", "slow reader", "slow sender"]);
  for (const kind of ["plain", "slow reader", "slow sender"]) expect(counts[kind].answered, kind).toBeGreaterThan(0);
  expect(counts["hangs up"]["hung up"]).toBeGreaterThan(0);
  expect(dropped).toBeGreaterThan(0);
  expect(p95).toBeGreaterThan(0);
  expect(memory.answers.most).toBeGreaterThan(0);
});
