import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readSafetensors, scope, type Tensor } from "@iqvae/torch";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runGroup } from "../../../torch/test/group-processes.ts";

const SIZES = [1, 2, 4] as const;
const folder = mkdtempSync(join(tmpdir(), "team-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Said {
  readonly weights: string;
  readonly codebooks: string;
  readonly losses: Record<"stage1" | "stage2", number[]> & Record<string, unknown>;
  readonly agree: boolean;
  readonly disagree: boolean;
  readonly nan: boolean;
  readonly drawn: Readonly<Record<"own" | "shared", readonly number[]>>;
}

const made = new Map<string, Said[]>();
const file = (name: string) => join(folder, `${name}.safetensors`);

async function train(name: string, size: number): Promise<void> {
  const script = fileURLToPath(new URL("team-child.mjs", import.meta.url));
  const ended = await runGroup(size, [script, file(name), "32"]);
  made.set(
    name,
    ended.map(({ said, stderr, code }) => {
      expect([stderr, code]).toEqual(["", 0]);
      return said[0] as Said;
    }),
  );
}

beforeAll(async () => {
  const root = fileURLToPath(new URL("../../../..", import.meta.url));
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  execFileSync(process.execPath, [tsc, "-b", "packages/iqvae"], { cwd: root, stdio: "inherit" });
  for (const size of SIZES) await train(String(size), size);
  await train("2 again", 2);
});

/** `‖a − b‖ / ‖b‖` over all tensors of those names together. */
function difference(a: string, b: string, names: RegExp): number {
  return scope(() => {
    const [one, other] = [a, b].map((name) => readSafetensors(file(name)).tensors);
    const chosen = [...other!.keys()].filter((name) => names.test(name));
    expect(chosen.length).toBeGreaterThan(0);
    const square = (x: Tensor) => x.to("float64").square().sum().item();
    const sum = (of: (name: string) => Tensor) => chosen.reduce((total, name) => total + square(of(name)), 0);
    return Math.sqrt(sum((name) => one!.get(name)!.sub(other!.get(name)!)) / sum((name) => other!.get(name)!));
  });
}

describe.each([2, 4])("%i processes that share 32 rows", (size) => {
  test.each(["stage1", "stage2"])("have the gradients of one that has them all, %s", (stage) => {
    expect(difference(String(size), "1", new RegExp(`^${stage}\\.gradient`))).toBeLessThan(1e-6);
  });

  test("have equal weights, moments and codebooks, to the bit, after k-means and after codes died", () => {
    const [first, ...others] = made.get(String(size))!;
    for (const other of others) expect(other).toEqual(first);
    expect(first).toMatchObject({ agree: true, disagree: false });
  });

  test("draw numbers of their own in a step, and those that are shared alike", () => {
    const [{ drawn }] = made.get(String(size)) as [Said];
    expect(new Set(drawn.own).size).toBe(size);
    expect(new Set(drawn.shared).size).toBe(1);
  });

  test("hear of a loss that is no number on one of them at the same step", () => {
    for (const { nan } of made.get(String(size))!) expect(nan).toBe(true);
  });

  test("train as one does, up to rounding: ten steps of both stages, with a discriminator", () => {
    const models = /^stage[12]\.(model|ema|adversary\.discriminator)\./;
    expect(difference(String(size), "1", models)).toBeLessThan(1e-4);
    expect(difference(String(size), "1", /codebook$/)).toBeLessThan(1e-4);
    const [one, several] = ["1", String(size)].map((name) => made.get(name)![0]!.losses);
    for (const stage of ["stage1", "stage2"] as const)
      for (const [step, loss] of several![stage].entries()) expect(loss).toBeCloseTo(one![stage][step]!, 4);
  });
});

test("as many processes end in the same bits again", () => {
  expect(made.get("2 again")).toEqual(made.get("2"));
});
