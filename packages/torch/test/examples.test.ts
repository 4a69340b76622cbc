import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
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

test("the classifier reads digits that it has not seen, also when it is loaded, in less than seventy lines", () => {
  const example = compiledChild("../../examples/digits.mjs");
  expect(readFileSync(example, "utf8").trimEnd().split("\n").length).toBeLessThan(70);
  const folder = mkdtempSync(join(tmpdir(), "digits-"));
  try {
    const args = [example, "4", join(folder, "digits.safetensors")];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    expect(stderr).toBe("");
    expect(status).toBe(0);
    const shares = [...stdout.matchAll(/accuracy ([\d.]+)/g)].map(([, share]) => Number(share));
    expect(shares).toHaveLength(5);
    expect(shares[3]).toBeGreaterThan(0.8); // one of ten by chance
    expect(shares[4]).toBe(shares[3]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
