import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cacheFolder } from "../../src/data/cache-folder.ts";
import { openDataset } from "../../src/data/index.ts";
import type { RunScore } from "../../src/metrics/run-score.ts";
import { type Ended, Workspace } from "./program.ts";

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
  // They take seconds to draw, and other tests have them in this cache.
  (await openDataset({ name: "emoji", condition: "edges", size: 32 })).close();
  for (const file of readdirSync(cacheFolder()).filter((name) => name.startsWith("emoji-edges-32-")))
    cpSync(join(cacheFolder(), file), workspace.at("cache", file));
  const set = settings.flatMap((setting) => ["--set", setting]);
  expect(await workspace.command("train", "tiny", "--name", "edges", ...set)).toMatchObject({ code: 0 });
  expect(await workspace.command("export", "edges", "--out", "exported")).toMatchObject({ code: 0 });
});
afterAll(() => workspace.remove());

const COUNTS = ["--count", "8", "--samples", "2"];

describe("metrics", () => {
  test("measures in two processes what one does, and each writes all", async () => {
    const measured = async (ended: Promise<Ended>) => {
      expect(await ended).toMatchObject({ code: 0 });
      const { seconds, ...score } = read("runs/edges/metrics.json") as RunScore;
      return score;
    };
    const alone = await measured(workspace.command("metrics", "edges", ...COUNTS));
    expect(alone.settings).toMatchObject({ conditions: 4, samples: 2, part: "report" });
    const keys = alone.figures.map(({ key }) => key);
    for (const key of ["frechet.attributes-emoji-32", "swd", "fidelity", "psnr", "bitsPerToken", "triple.gap.colors"])
      expect(keys).toContain(key);
    expect(await measured(workspace.run("metrics", "edges", ...COUNTS, "--processes", "2"))).toEqual(alone);
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
    // A run beside it keeps the figures that it has, of its own settings.
    const beside = readFileSync(workspace.at("runs/edges/metrics.json"), "utf8");
    expect(await measured("--top-p", "0.5", "--against", "edges")).toMatchObject({ ...own, topP: 0.5 });
    expect(readFileSync(workspace.at("runs/edges/metrics.json"), "utf8")).toBe(beside);
    const card = readFileSync(workspace.at("exported/README.md"), "utf8");
    expect(card).toContain("temperature 0.5, top-k 9, top-p 0.5, guidance 1; of the weights as stored here");
    expect(card).toContain("SWD × 1000, mean ↓");
  });

  test("takes figures of the weights that a run has alone, and leaves those of the other side as they are", async () => {
    const [run, card] = ["runs/edges/metrics.json", "exported/README.md"];
    const other = { ...read(run), weights: "those of earlier steps" } as RunScore;
    writeFileSync(workspace.at(run), JSON.stringify(other));
    const before = [run, "exported/metrics.json", card].map((file) => readFileSync(workspace.at(file), "utf8"));
    const beside = (one: string, two: string) =>
      workspace.command("metrics", one, "--against", two, ...COUNTS, "--samples", "3");
    expect(await beside("exported", "edges")).toMatchObject({
      code: 0,
      out: expect.stringContaining("weights that the run no longer has"),
    });
    expect(read(run)).toMatchObject({ weights: expect.stringMatching(/^[0-9a-f]{64}$/), settings: { samples: 3 } });
    writeFileSync(workspace.at(run), before[0]!);
    const { code, out } = await workspace.command("export", "edges", "--out", "stale");
    expect([code, out.includes("has no figures of samples")]).toEqual([0, true]);
    expect(readFileSync(workspace.at("stale/README.md"), "utf8")).not.toContain("SWD");

    rmSync(workspace.at("exported/metrics.json"));
    writeFileSync(workspace.at(card), before[2]!);
    expect(await beside("edges", "exported")).toMatchObject({ code: 0 });
    expect([existsSync(workspace.at("exported/metrics.json")), readFileSync(workspace.at(card), "utf8")]).toEqual([
      false,
      before[2],
    ]);
    writeFileSync(workspace.at("exported/metrics.json"), before[1]!);
  });

  test("refuses guidance that a model cannot draw with before it looks for a network", async () => {
    const args = ["--guidance", "2", "--inception", "nowhere.safetensors"];
    const { code, out, err } = await workspace.command("metrics", "exported", ...args);
    expect([code, out]).toEqual([1, ""]);
    expect(err).toMatch(/^guidance 2 needs a model that was also trained without conditions/);
  });

  test("tells figures that it cannot keep, beside those that another has of the same kind", async () => {
    const { figures, ...score } = read("exported/metrics.json") as RunScore;
    const known = figures.map((figure) => (figure.key === "swd" ? { ...figure, value: 98_765 } : figure));
    const { weights } = read("runs/edges/metrics.json") as RunScore;
    writeFileSync(workspace.at("runs/edges/metrics.json"), JSON.stringify({ ...score, figures: known, weights }));
    rmSync(workspace.at("exported/metrics.json"));
    mkdirSync(workspace.at("exported/metrics.json"));
    const args = [...COUNTS, "--top-p", "0.5", "--against", "edges"];
    const { code, out, err } = await workspace.command("metrics", "exported", ...args);
    expect([code, err]).toEqual([0, ""]);
    expect(out).toContain("The figures are not kept.");
    expect(out).toMatch(/SWD × 1000, mean.* 98765 /);
  });
});
