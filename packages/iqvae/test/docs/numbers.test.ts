import { expect, it } from "vitest";
import { chart } from "../../../../tools/results-chart.mjs";
import { read } from "./documents.ts";

/* Figures that stand in two places are those of one source. */

it("the chart of the results is drawn from the tables of docs/data", () => {
  const svg = chart((name) => read(`docs/data/${name}`));
  expect(svg.match(/<circle/g)!.length).toBeGreaterThan(30);
  expect(read("docs/images/results.svg"), "draw it anew: node tools/results-chart.mjs").toBe(svg);
});

it("docs/models.md has the figures of the cards", () => {
  const rows = [
    ...read("docs/models.md").matchAll(/^\| \[`([\w-]+)`\]\(\S+\) \| [^|]+ \| [^|]+ \| ([\d.]+) \| ([\d.]+) dB \|/gm),
  ];
  expect(rows.length).toBeGreaterThan(7);
  for (const [, name, nats, psnr] of rows) {
    const card = read(`models/${name}/README.md`);
    const held = (label: string) => Number(new RegExp(`^\\| ${label} \\| ([\\d.]+)`, "m").exec(card)?.[1]);
    const digits = (text: string) => text.split(".")[1]!.length;
    const stored = held("nats a token of 256 images, weights as stored here");
    const loss = Number.isNaN(stored) ? held("nats a token, in training") : stored;
    expect(loss.toFixed(digits(nats!)), `${name}, nats`).toBe(nats);
    expect(held("reconstruction of images, PSNR").toFixed(digits(psnr!)), `${name}, PSNR`).toBe(psnr);
  }
});

it("docs/results.md says what the tables of docs/data say", () => {
  const changes = (file: string, row: string, column: number) => {
    const line = read(`docs/data/${file}.md`)
      .split("\n")
      .find((each) => each.startsWith(`| ${row}`))!;
    return /\(([+−]\d+)(?:\.(\d))? %/.exec(line.split("|")[column + 1]!)!;
  };
  const rounded = (file: string, row: string, column: number) => {
    const [, whole, tenth] = changes(file, row, column);
    return Math.round(Number(`${whole!.replace("−", "-")}.${tenth}`));
  };
  // Finding 1: the regularizer as described, on both tasks, without and with a perceptual term.
  const said = read("docs/results.md");
  const distance = "Fréchet distance (attributes";
  expect([rounded("emoji-edges", distance, 2), rounded("faces-semantic", distance, 2)]).toEqual([8, 11]);
  expect(said).toContain("by 8 % on emoji and 11 % on faces");
  expect([rounded("faces-semantic-perceptual", distance, 2), rounded("emoji-edges-perceptual", distance, 2)]).toEqual([
    -9, 12,
  ]);
  expect(said).toContain("lowers the distance on faces by 9 % ± 5");
});
