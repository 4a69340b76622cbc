import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { presets, withSettings } from "../../src/config/index.ts";
import { type RunScore, SCORE_FORMAT, writeScore } from "../../src/metrics/run-score.ts";
import { chart, figure } from "../../src/report/chart.ts";
import { escapeHtml } from "../../src/report/html.ts";
import { report, settingRows } from "../../src/report/report.ts";
import { triples } from "../../src/report/triples.ts";
import { readMetrics } from "../../src/run/metrics-log.ts";
import { createRun } from "../../src/run/run-folder.ts";
import { weightsDigest } from "../../src/run/weights.ts";
import { temporaryFolder, trainTiny } from "../run/support.ts";

/** The points of a chart's lines, in the order of its series. */
const linesOf = (svg: string) =>
  [...svg.matchAll(/<polyline class="(\w+)" points="([^"]*)"/g)].map(([, split, points]) => ({
    split,
    points: points!.split(" ").map((point) => point.split(",").map(Number) as [number, number]),
  }));

describe("a chart", () => {
  test("lies within its frame, runs to the right, and keeps the order of values", async () => {
    const points = fc
      .array(fc.double({ min: -1e9, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 1500 })
      .map((values) => values.map((value, step) => [step * 10, value] as const));
    await fc.assert(
      fc.property(points, (all) => {
        const [line] = linesOf(chart({ title: "Loss", series: [{ split: "train", points: all }] }));
        expect(line!.points.length).toBeLessThanOrEqual(402);
        for (const [i, [x, y]] of line!.points.entries()) {
          expect(x).toBeGreaterThanOrEqual(i === 0 ? 0 : line!.points[i - 1]![0]);
          expect(x).toBeLessThanOrEqual(340);
          expect(y).toBeGreaterThanOrEqual(0);
          expect(y).toBeLessThanOrEqual(190);
        }
        if (all.length > 400) return;
        // The larger the value, the higher the point: y runs downward, in tenths of a pixel.
        for (const [i, [, value]] of all.entries()) {
          const [, before] = all[Math.max(0, i - 1)]!;
          const rise = line!.points[Math.max(0, i - 1)]![1] - line!.points[i]![1];
          if (value > before) expect(rise).toBeGreaterThanOrEqual(0);
          if (value < before) expect(rise).toBeLessThanOrEqual(0);
        }
      }),
    );
  });

  test("draws training and held-out values in one frame, and the newest of each beside the title", () => {
    const svg = chart({
      title: "Loss",
      note: "nats",
      series: [
        {
          split: "train",
          points: [
            [0, 4],
            [10, 2],
          ],
        },
        { split: "validation", points: [[10, 3]] },
      ],
    });
    const [train, validation] = linesOf(svg);
    expect([train!.split, validation!.split]).toEqual(["train", "validation"]);
    // 3 lies halfway between 4 and 2.
    expect(validation!.points[0]![1]).toBeCloseTo((train!.points[0]![1] + train!.points[1]![1]) / 2, 0);
    expect(svg).toContain('<span class="train">2</span><span class="validation">3</span>');
  });

  test("changes to powers of ten where values span much", () => {
    const points = [0.01, 0.1, 1, 10].map((value, step) => [step, value] as const);
    const [line] = linesOf(chart({ title: "Loss", series: [{ split: "train", points }] }));
    const heights = line!.points.map(([, y]) => y);
    expect(heights[0]! - heights[1]!).toBeCloseTo(heights[2]! - heights[3]!, 0);
  });

  test.each([
    ["close values", [1.181, 1.184], ["1.181", "1.182", "1.183", "1.184"]],
    ["values that differ in the fifth digit", [8.80001, 8.80004], ["8.80001", "8.80002", "8.80003", "8.80004"]],
    ["large close ones", [250_010, 250_030], ["2.5001e5", "2.50015e5", "2.5002e5", "2.50025e5", "2.5003e5"]],
    ["small ones", [0, 2e-4], ["0", "5e-5", "1e-4", "1.5e-4", "2e-4"]],
    ["both sides of 0", [-0.4, 0.6], ["-0.5", "0", "0.5", "1.0"]],
    ["a flat line", [8.8, 8.8, 8.8], ["8.8"]],
    ["a flat line at 0", [0, 0], ["0"]],
    ["a flat line but for rounding", [8.8, 8.800_000_1], ["8.8"]],
    ["powers of ten", [0.5e-4, 0.2], ["1e-5", "1e-4", "0.001", "0.01", "0.1", "1"]],
  ])("tells %s apart by the labels of its axis, and has room for them", (_, values, labels) => {
    const points = values.map((value, step) => [step, value] as const);
    const svg = chart({ title: "Loss", series: [{ split: "train", points }] });
    const shown = [...svg.matchAll(/<text class="tick" x="(\d+)"[^>]*text-anchor="end">([^<]*)</g)];
    expect(shown.map(([, , label]) => label)).toEqual(labels);
    for (const [, end, label] of shown) expect(Number(end)).toBeGreaterThanOrEqual(6 * label!.length);
  });

  test("has means of neighbors where there are more points than pixels, and the newest value as it is", () => {
    const points = Array.from({ length: 1001 }, (_, step): [number, number] => [step, step % 7]);
    const svg = chart({ title: "Loss", series: [{ split: "train", points: [...points, [1001, 42]] }] });
    const [line] = linesOf(svg);
    expect(line!.points.length).toBeLessThanOrEqual(402);
    expect(svg).toContain(`<span class="train">42</span>`);
    expect(svg).toContain(">1,001</text>");
  });

  test("leaves out what is no number, and itself when nothing is left", () => {
    expect(chart({ title: "Loss", series: [{ split: "train", points: [[1, Number.NaN]] }] })).toBe("");
    const points = [
      [1, 1],
      [2, Number.POSITIVE_INFINITY],
      [3, 2],
    ] as const;
    expect(linesOf(chart({ title: "Loss", series: [{ split: "train", points }] }))[0]!.points).toHaveLength(2);
  });

  test.each([
    [0, "0"],
    [1.23456, "1.23"],
    [1234.5, "1230"],
    [0.00012, "1.2e-4"],
    [2.5e7, "2.5e7"],
    [-2.71428, "-2.71"],
  ])("shortens %d to %s", (value, text) => expect(figure(value)).toBe(text));
});

describe("a report", () => {
  test("has the curves, figures, versions and configuration of a run, and nothing from outside", async () => {
    const { run } = await trainTiny(join(temporaryFolder(), "run"));
    const picture = Buffer.from("a picture");
    writeFileSync(join(run.samples, "stage1-00000002.png"), "an older one");
    writeFileSync(join(run.samples, "stage1-00000010.png"), picture);
    const html = report(run);
    expect(html).toMatch(/^<!doctype html>\n<html lang="en">/);
    expect(html).toContain(
      "faces, semantic → image, 32 × 32 pixels · stage 1: 24 of 30 steps · stage 2: 0 of 30 steps",
    );
    expect(html).toContain(`src="data:image/png;base64,${picture.toString("base64")}"`);
    expect(html).not.toContain(Buffer.from("an older one").toString("base64"));
    expect(html).toContain("<th>stage1.model.image.codes</th><td>32</td>");
    expect(html).toContain(`<th>stage1: node</th><td>${process.versions.node}</td>`);
    // Self-contained: no address but those of the data in the page.
    expect(html.match(/(?:src|href)="(?!data:)/g)).toBeNull();
    expect(html).not.toMatch(/<script|https?:/);

    const losses = readMetrics(run.log.path).filter((record) => record.split === "train");
    const [train, validation] = linesOf(html.slice(html.indexOf("<b>Loss</b>")));
    expect(train!.points).toHaveLength(losses.length);
    expect(validation!.points).toHaveLength(6);
  });

  test("shows settings exactly as they are configured, lists of objects too", () => {
    const classes = [
      { name: "sky", color: "#0000ff" },
      { name: "a <b>nest</b>", color: "#00ff00" },
    ];
    const rows = settingRows({
      seed: 1234567,
      data: { name: "folder", classes },
      stage2: { exposure: null, emaDecay: 0.9999, rate: 1e-7 },
    });
    expect(rows).toEqual([
      ["seed", "1234567"],
      ["data.name", "folder"],
      ["data.classes", JSON.stringify(classes)],
      ["stage2.exposure", "null"],
      ["stage2.emaDecay", "0.9999"],
      ["stage2.rate", "1e-7"],
    ]);
  });

  test("has the newest held-out figures in tiles", () => {
    const run = createRun(join(temporaryFolder(), "run"), withSettings(presets.tiny, [], "test"));
    const tiles = () => [...report(run).matchAll(/"tile"><b>([^<]*)<\/b><span>([^<]*)/g)].map(([, ...of]) => of);
    expect(tiles()).toEqual([]);
    const worse = { imageMse: 1, conditionAccuracy: 0.1, imageActive: 0.1, conditionActive: 0.1 };
    // Of pixels in [−1, 1].
    const better = { imageMse: 0.04, conditionAccuracy: 0.75, imageActive: 0.5, conditionActive: 0.875 };
    run.log.append({ stage: "stage1", step: 1, split: "validation", ...worse });
    run.log.append({ stage: "stage1", step: 2, split: "validation", ...better });
    run.log.append({ stage: "stage1", step: 2, split: "train", ...worse });
    run.log.append({ stage: "stage2", step: 1, split: "validation", bits: 3.456, imageActive: 0.1 });
    run.log.close();
    const { image, condition } = presets.tiny.stage1.model;
    expect(tiles()).toEqual([
      ["20.0 dB", "reconstruction, PSNR"],
      ["75.0 %", "condition right"],
      ["50.0 %", `image codes in use, of ${image.codes}`],
      ["87.5 %", `condition codes in use, of ${condition.codes}`],
      ["3.46", "bits a token, held out"],
    ]);
  });

  test("can be made of a run that has only begun", async () => {
    const interrupt = { requested: true };
    const { run } = await trainTiny(join(temporaryFolder(), "run"), { interrupt });
    expect(report(run)).toContain("stage 1: 0 of 30 steps");
    expect(existsSync(run.report) || readdirSync(run.checkpoints).length > 0).toBe(false);
  });

  test("is titled as the folder of the run, since another may have the name of the configuration", async () => {
    const { run } = await trainTiny(join(temporaryFolder(), "tiny-2"), { interrupt: { requested: true } });
    expect(run.config.name).toBe("tiny");
    expect(report(run)).toContain("<h1>tiny-2</h1>");
    expect(report(run)).toContain("<title>tiny-2 · iqvae</title>");
  });

  test("shows samples that it is given", async () => {
    const { run } = await trainTiny(join(temporaryFolder(), "run"), { steps: 1 });
    const given = Buffer.from("given samples");
    expect(report(run, given)).toContain(`<h2>Samples</h2>`);
    expect(report(run, given)).toContain(given.toString("base64"));
    expect(report(run)).not.toContain("<h2>Samples</h2>");
  });
});

test("text cannot break out of a page", async () => {
  await fc.assert(
    fc.property(fc.string(), (text) => {
      expect(escapeHtml(text)).not.toMatch(/[<>"']|&(?!#\d+;)/);
    }),
  );
});

describe("what each stage costs", () => {
  const score: RunScore = {
    format: SCORE_FORMAT,
    run: "elsewhere/before",
    weights: "",
    settings: {
      ...{ data: "faces", dataKey: "faces", size: 32, conditions: 5, part: "report", samples: 3, seed: 4 },
      ...{ temperature: 1, topK: null, topP: 1, guidance: 2 },
    },
    networks: {},
    figures: [
      { key: "triple.reconstruction.colors", label: "", value: 8.25, real: 5.25, better: "lower" },
      { key: "triple.gap.colors", label: "", value: 12.5, real: 3.25, better: "lower" },
      { key: "triple.total.colors", label: "", value: 22.75, real: 5.25, better: "lower" },
      { key: "triple.stage1Share.colors", label: "", value: 0.1714, real: null, better: null },
    ],
    calibration: null,
    seconds: {},
  };

  /** A run that has trained both stages. */
  const trainBoth = async (path = join(temporaryFolder(), "run")) => {
    await trainTiny(path, { steps: 4 });
    return (await trainTiny(path, { stage: "stage2", steps: 4 })).run;
  };

  test("is shown for runs that were measured with their weights: all three with their floors, and the share", async () => {
    const [run, unmeasured] = [await trainBoth(), await trainBoth()];
    const { path } = run;
    writeScore(path, { ...score, weights: weightsDigest(run)! });
    writeScore(unmeasured.path, { ...score, weights: "those of earlier steps" });
    const html = triples([unmeasured, run]);
    const cells = ["8.250 [5.250]", "12.50 [3.250]", "22.75 [5.250]", "17 %"]
      .map((cell) => `<td>${cell}</td>`)
      .join("");
    expect(html).toContain(`<tr><th>colors, ${escapeHtml(path)}</th>${cells}</tr>`);
    expect(html).toContain("5 conditions × 3 images of the part &#39;report&#39;, seed 4, guidance 2.");
    expect(html.match(/<tr>/g)).toHaveLength(2);
    expect(triples([unmeasured])).toBe("");
  });

  test("stands in a run's page", async () => {
    const run = await trainBoth();
    const { path } = run;
    expect(report(run)).not.toContain("What each stage costs");
    writeScore(path, { ...score, weights: weightsDigest(run)! });
    expect(report(run)).toContain("<td>12.50 [3.250]</td>");
  });
});
