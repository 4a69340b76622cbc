import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { compiledChild } from "./children/compiled.ts";

test("the character model learns a text and writes in its letters, in less than sixty lines", () => {
  const example = compiledChild("../../examples/characters.mjs");
  const source = readFileSync(example, "utf8");
  expect(source.trimEnd().split("\n").length).toBeLessThan(60);
  const { status, stdout, stderr } = spawnSync(process.execPath, [example, example, "100"], { encoding: "utf8" });
  expect(stderr).toBe("");
  expect(status).toBe(0);
  const losses = [...stdout.matchAll(/step \d+: ([\d.]+) nats/g)].map(([, loss]) => Number(loss));
  const guess = Math.log(new Set(source).size);
  expect(losses).toHaveLength(3);
  expect(losses[0]).toBeCloseTo(guess, 0);
  expect(losses[2]).toBeLessThan(guess / 2);
  const written = stdout.slice(stdout.indexOf("\n", stdout.lastIndexOf(" nats")) + 1, -1);
  expect([...written]).toHaveLength(300);
  expect([...written].every((character) => source.includes(character))).toBe(true);
});
