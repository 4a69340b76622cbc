import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { changes, chart } from "../../../../tools/results-chart.mjs";
import { emojiRecipe } from "../../src/data/sets/emoji/recipe.ts";
import { speechRecipe } from "../../src/data/sets/speech/recipe.ts";
import { wordsRecipe } from "../../src/data/sets/words/recipe.ts";
import { read, root } from "./documents.ts";

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

it("docs/models.md says how well models follow their conditions as the cards do", () => {
  const rows = [
    ...read("docs/models.md").matchAll(
      /^\| `([\w-]+)` \| ([\d.]+) and ([\d.]+)( %)?[^|]* \| ([\d.]+) and ([\d.]+) \|$/gm,
    ),
  ];
  expect(rows).toHaveLength(9);
  for (const [, name, drawn, real, percent, drawnSwd, realSwd] of rows) {
    const card = read(`models/${name}/README.md`);
    const expectRounded = (said: (string | undefined)[], label: string, scale = 1) => {
      const row = new RegExp(`^\\| ${label} [↑↓] \\| ([\\d.]+) \\| ([\\d.]+) \\|$`, "m").exec(card)!;
      said.forEach((text, i) => {
        const half = 0.5 / 10 ** (text!.split(".")[1]?.length ?? 0);
        expect(Math.abs(Number(text) - scale * Number(row[i + 1])), `${name}, ${row[0]}`).toBeLessThan(half + 1e-9);
      });
    };
    expectRounded([drawn, real], "[^|]*\\((?:reader|retriever)-[\\w-]+\\)", percent ? 100 : 1);
    expectRounded([drawnSwd, realSwd], "SWD × 1000, mean");
  }
});

it("docs/models.md says how large the models are, and docs/export.md their graphs", () => {
  /** The least and the most of the models, rounded to `unit`. */
  const range = (unit: number, ending = "") => {
    const sizes = readdirSync(join(root, "models")).map((name) =>
      readdirSync(join(root, "models", name))
        .filter((file) => file.endsWith(ending))
        .reduce((sum, file) => sum + statSync(join(root, "models", name, file)).size, 0),
    );
    return [Math.min(...sizes), Math.max(...sizes)].map((size) => unit * Math.round(size / unit)).join(" to ");
  };
  expect(read("docs/models.md")).toContain(`float16, ${range(1e6).replaceAll("000000", "")} MB each`);
  expect(read("docs/export.md")).toContain(`graphs, ${range(1e4, ".onnx").replaceAll("000", "")} KB in all`);
});

it("docs/data.md counts the pairs of emoji, words, and speech, and their concepts", async () => {
  const all = { size: 32, count: Number.MAX_SAFE_INTEGER } as const;
  for (const recipe of [emojiRecipe(32), wordsRecipe(all), speechRecipe(all)]) {
    const { entries } = await recipe.prepare();
    const concepts = new Set(entries.map(({ id }) => id.split("/")[0])).size;
    const row = read("docs/data.md")
      .split("\n")
      .find((line) => line.startsWith(`| \`${recipe.name}\` |`));
    const [pairs, kinds] = [entries.length, concepts].map((count) => count.toLocaleString("en-US"));
    expect(row).toMatch(new RegExp(`\\| ${pairs}, in ${kinds} concepts \\|$`));
  }
});

const ARMS = {
  "as described, both encoders": "regularizer as described: moves both encoders",
  "with Gumbel sampling (the paper's method)": "regularizer as described, Gumbel sampling: the paper's method",
  "moves the image alone": "moves the image alone",
  "the same, pairs within an image": "moves the image alone, pairs within an image",
};
const COLUMNS = [
  ["Fréchet distance, total (attributes", "Fréchet distance, total (attributes"],
  ["Fréchet distance, total (gradients", "Fréchet distance, total (gradients"],
  ["mIoU", "edge F1"],
  ["bits an image token", "bits an image token"],
];

const COUPLED = "independent, the image's decoder sees the condition";

const CONTROLS = {
  "pairs within an image": "moves the image alone, pairs within an image",
  "against the image's own colors, no condition": "against the image's own colors, no condition",
  "128 codes instead of 512": "independent, 128 codes",
  "image predicted from the condition": "image predicted from the condition",
};

const signed = (value: number, digits: number) =>
  Number(value.toFixed(digits)) === 0 ? "0" : `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}`;
const bound = (value: number, digits: number) => Number(value.toFixed(digits)).toFixed(digits).replace("-", "−");

/** A change as a table says it: a mean, with or without its interval, bold where that excludes 0. */
function expectSaid(said: string, change: { mean: number; low: number; high: number }, what: string): void {
  const plain = said.replaceAll("*", "");
  const digits = /\.(\d)/.exec(plain.split(" ")[0]!) ? 1 : 0;
  const [mean, interval] = [/^\S+/.exec(plain)![0], /\[.*\]/.exec(plain)?.[0]];
  expect(mean, what).toBe(signed(change.mean, digits));
  if (interval !== undefined) {
    const fraction = interval.includes(".") ? 1 : 0;
    const expected = `[${bound(change.low, fraction)}, ${bound(change.high, fraction)}]`;
    expect(interval, what).toBe(expected.replaceAll("[−0,", "[0,"));
  }
  expect(said.startsWith("**"), `${what}: bold`).toBe(change.low > 0 || change.high < 0);
}

/** What the cells of a row of docs/results.md say, each of faces and of emoji. */
function cellsOf(title: string): string[][] {
  const row = read("docs/results.md")
    .split("\n")
    .find((line) => line.startsWith(`| ${title} |`));
  return row!
    .split("|")
    .slice(2)
    .map((cell) => cell.trim().split("; "));
}

it.each([
  ["five seeds", ARMS, "core"],
  ["the controls", CONTROLS, "controls"],
] as const)("docs/results.md has the changes of %s, bold where an interval excludes 0", (_, arms, kind) => {
  for (const [title, arm] of Object.entries(arms)) {
    const cells = cellsOf(title);
    COLUMNS.forEach((names, column) => {
      [`faces-semantic-${kind}`, `emoji-edges-${kind}`].forEach((file, task) => {
        const change = changes(read(`docs/data/${file}.md`), 600, names[task]!).get(arm)!;
        expectSaid(cells[column]![task]!, change, `${title}, ${file}, ${names[task]}`);
      });
    });
  }
});

it("docs/results.md has the changes by a coupled decoder", () => {
  for (const steps of [150, 600]) {
    const cells = cellsOf(`after ${steps} steps`);
    COLUMNS.forEach((names, column) => {
      ["faces-semantic-coupling", "emoji-edges-coupling"].forEach((file, task) => {
        const change = changes(read(`docs/data/${file}.md`), steps, names[task]!).get(COUPLED)!;
        expectSaid(cells[column]![task]!, change, `${steps} steps, ${file}, ${names[task]}`);
      });
    });
  }
});

it("docs/results.md says what a coupled decoder does with pairs within an image, and on photographs", () => {
  const both = "pairs within an image, the decoder sees the condition";
  const said = read("docs/results.md").replaceAll(/\s+/g, " ");
  const whole = (value: number) => bound(value, 0);
  /** A change and its interval, of what grows (1) or falls (−1). */
  const gain = (sign: 1 | -1, file: string, steps: number, row: string, arm: string) => {
    const { mean, low, high } = changes(read(`docs/data/${file}-coupling.md`), steps, row).get(arm)!;
    const [from, to] = [sign * low, sign * high].sort((a, b) => a - b) as [number, number];
    return { alone: `${whole(sign * mean)} %`, text: `${whole(sign * mean)} % [${whole(from)}, ${whole(to)}]` };
  };
  const [map, bits] = [
    gain(1, "faces-semantic", 600, "mIoU", both),
    gain(-1, "faces-semantic", 600, "bits an image token", both),
  ];
  expect(said).toContain(`mIoU gains ${map.text} with ${bits.alone} fewer bits`);
  const [edges, gradients, start] = [
    gain(1, "emoji-edges", 600, "edge F1", both),
    gain(-1, "emoji-edges", 600, "Fréchet distance, total (gradients", both),
    gain(1, "emoji-edges", 150, "Fréchet distance, total (attributes", both),
  ];
  expect(said).toContain(
    `on emoji F1 gains ${edges.text} and gradients fall by ${gradients.text}, after a start ${start.text} behind by network`,
  );
  const [reconstructions, colors] = [
    gain(-1, "cifar10-edges", 800, "Fréchet distance, reconstructions (efficientnet", COUPLED),
    gain(-1, "cifar10-edges", 800, "Fréchet distance, total (colors", COUPLED),
  ];
  expect(said).toContain(`Reconstructions are ${reconstructions.text} closer, totals ${colors.text} by colors`);
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
