import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/config/index.ts";
import { compareReport } from "../../src/report/compare.ts";
import { readMetrics } from "../../src/run/metrics-log.ts";
import { createRun } from "../../src/run/run-folder.ts";
import { temporaryFolder, tinyConfig, trainTiny } from "../run/support.ts";

describe("a comparison of runs", () => {
  test("overlays their held-out curves, and has the end of each and where their configurations differ", async () => {
    const folder = temporaryFolder();
    const slower = { ...tinyConfig, stage1: { ...tinyConfig.stage1, rate: 1e-4 } };
    const { run: a } = await trainTiny(join(folder, "a"));
    const { run: b } = await trainTiny(join(folder, "b"), { config: slower, steps: 12 });
    const html = compareReport([a, b], Buffer.from("a picture"));

    const figures = [a, b].map((run) => readMetrics(run.log.path).filter(({ split }) => split === "validation"));
    expect(figures.map((records) => records.length)).toEqual([6, 3]);
    const chart = html.slice(html.indexOf("<b>Loss</b>"), html.indexOf("</figure>", html.indexOf("<b>Loss</b>")));
    const lines = [...chart.matchAll(/<polyline class="(\w+)" points="([^"]*)"/g)];
    expect(lines.map(([, run, points]) => [run, points!.split(" ").length])).toEqual([
      ["run0", 6],
      ["run1", 3],
    ]);
    // The line of the shorter training ends in the middle: one axis for both.
    const right = lines.map(([, , points]) => Number(points!.split(" ").at(-1)!.split(",")[0]));
    expect(right[1]! - 48).toBeCloseTo((right[0]! - 48) * ((12 - 4) / (24 - 4)), 0);

    expect(html).toContain("<th>stage1.rate</th><td>0.002</td><td>0.0001</td>");
    expect(html).not.toContain("<th>stage1.batch</th>");
    expect(html).toMatch(/<th>stage 1: Loss<\/th><td>[^<]+ \(step 24\)<\/td><td>[^<]+ \(step 12\)<\/td>/);
    expect(html).toContain(Buffer.from("a picture").toString("base64"));
    expect(html.match(/(?:src|href)="(?!data:)/g)).toBeNull();
    expect(html).not.toMatch(/<script|https?:/);
  });

  test("of runs that have only begun, and are alike, says so", async () => {
    const folder = temporaryFolder();
    const begun = { interrupt: { requested: true } };
    const { run: a } = await trainTiny(join(folder, "a"), begun);
    const { run: b } = await trainTiny(join(folder, "b"), begun);
    const html = compareReport([a, b]);
    expect(html).toContain("Nowhere but in the name.");
    expect(html).toContain("None yet.");
    expect(html).not.toContain("<h2>Samples</h2>");
  });

  test("tells apart values that differ in the last digit, and lists that differ in one name", () => {
    const folder = temporaryFolder();
    const created = (name: string, emaDecay: number, third: string) => {
      const classes = ["sky", "sea", third].map((each, i) => ({ name: each, color: `#00000${i}` }));
      const data = { name: "folder", path: folder, condition: "semantic", size: 32, classes };
      const stage2 = { ...tinyConfig.stage2, emaDecay };
      return createRun(join(folder, name), parseConfig({ ...tinyConfig, data, stage2 }, name));
    };
    const html = compareReport([created("a", 0.9999, "land"), created("b", 0.9998, "ice")]);
    expect(html).toContain("<th>stage2.emaDecay</th><td>0.9999</td><td>0.9998</td>");
    expect(html).toMatch(/<th>data\.classes<\/th><td>[^<]*land[^<]*<\/td><td>[^<]*ice/);
    expect(html).not.toContain("[object");
  });

  test("takes as many runs as there are colors", async () => {
    const { run } = await trainTiny(join(temporaryFolder(), "a"), { interrupt: { requested: true } });
    expect(() => compareReport([run])).toThrow(new RangeError("A comparison takes 2 to 8 runs, but got 1."));
    expect(() => compareReport(Array(9).fill(run))).toThrow(
      new RangeError("A comparison takes 2 to 8 runs, but got 9."),
    );
    expect(compareReport(Array(8).fill(run))).toContain("<h1>8 runs</h1>");
  });
});
