import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RunScore } from "../../src/metrics/run-score.ts";
import { Workspace } from "./program.ts";

const workspace = new Workspace();
const read = (file: string) => JSON.parse(readFileSync(workspace.at(file), "utf8"));

// How well edges are followed is measured without a network that would have to be trained first.
const settings = [
  "data.name=emoji",
  "data.condition=edges",
  "data.size=32",
  "stage1.steps=8",
  "stage2.steps=10",
  "sampleEvery=1000",
];
beforeAll(async () => {
  const set = settings.flatMap((setting) => ["--set", setting]);
  expect(await workspace.command("train", "tiny", "--name", "edges", ...set)).toMatchObject({ code: 0 });
  expect(await workspace.command("export", "edges", "--out", "exported")).toMatchObject({ code: 0 });
});
afterAll(() => workspace.remove());

const COUNTS = ["--count", "8", "--samples", "2"];

describe("metrics", () => {
  test("measures in two processes what one does, and each writes all", async () => {
    const measured = async (...args: string[]) => {
      expect(await workspace.run("metrics", "edges", ...COUNTS, ...args)).toMatchObject({ code: 0 });
      const { seconds, ...score } = read("runs/edges/metrics.json") as RunScore;
      return score;
    };
    const alone = await measured();
    expect(alone.settings).toMatchObject({ conditions: 4, samples: 2, part: "report" });
    const keys = alone.figures.map(({ key }) => key);
    for (const key of ["frechet.attributes-emoji-32", "swd", "fidelity", "psnr", "bitsPerToken", "triple.gap.colors"])
      expect(keys).toContain(key);
    expect(await measured("--processes", "2")).toEqual(alone);
  });

  test("measures an exported model as it draws, unless something else is asked for, and its card says so", async () => {
    const own = { temperature: 0.5, topK: 9, topP: 0.75, guidance: 1 };
    writeFileSync(
      workspace.at("exported/model.json"),
      JSON.stringify({ ...read("exported/model.json"), sampling: own }),
    );
    const measured = async (...args: string[]) => {
      const { code, out } = await workspace.command("metrics", "exported", ...COUNTS, ...args);
      expect(code).toBe(0);
      expect(out).toContain("SWD × 1000, mean");
      return (read("exported/metrics.json") as RunScore).settings;
    };
    expect(await measured()).toMatchObject(own);
    expect(await measured("--top-p", "0.5")).toMatchObject({ ...own, topP: 0.5 });
    const card = readFileSync(workspace.at("exported/README.md"), "utf8");
    expect(card).toContain("temperature 0.5, top-k 9, top-p 0.5, guidance 1; of the weights as stored here");
    expect(card).toContain("SWD × 1000, mean ↓");
  });
});
