import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/*
 * Draws docs/images/results.svg from the tables of docs/data: `node tools/results-chart.mjs`. A dot is the mean change against
 * independent quantization, seed by seed; a line is its 95 % interval.
 */

const ARMS = {
  "regularizer as described: moves both encoders": "as described",
  "regularizer as described, Gumbel sampling: the paper's method": "the same, Gumbel sampling",
  "moves the image alone": "image alone moves",
  "moves the image alone, pairs within an image": "the same, pairs in an image",
};
const STEPS = [150, 300, 600];
const TASKS = [
  { name: "faces from maps (mIoU)", file: "faces-semantic-core", fidelity: "mIoU", color: "#d9822b", dy: -4 },
  { name: "emoji from edges (edge F1)", file: "emoji-edges-core", fidelity: "edge F1", color: "#3b82c4", dy: 4 },
];
const ABOVE_FLOOR = (judge) => `Fréchet distance, total (${judge}`;
const PANELS = [
  { title: "by a network (← better)", row: ABOVE_FLOOR("attributes"), x: 240, low: -40, high: 40, tick: 20 },
  { title: "by gradients (← better)", row: ABOVE_FLOOR("gradients"), x: 455, low: -20, high: 20, tick: 10 },
  { title: "fidelity (better →)", row: null, x: 670, low: -8, high: 8, tick: 4 },
];
const [WIDTH, PANEL, ROW] = [870, 170, 22];

/** `{ mean, low, high }` of each arm's change in percent after some steps, out of a table that `iqvae reproduce` wrote. */
export function changes(markdown, steps, rowStart) {
  const found = new Map();
  for (const section of markdown
    .split(/^## /m)
    .filter((text) => text.split("\n")[0].endsWith(`: ${steps} steps of stage 2`))) {
    let arms = [];
    for (const line of section.split("\n").filter((text) => text.startsWith("|"))) {
      const [label, ...cells] = line
        .split("|")
        .slice(1, -1)
        .map((cell) => cell.trim());
      if (label === "") arms = cells;
      // Of a total, what lies above its floor.
      if (!label.startsWith(rowStart) || (label.includes("total") && !label.includes("above its floor"))) continue;
      cells.forEach((cell, at) => {
        const numbers = /\(([+−][\d.]+) % \[([+−][\d.]+), ([+−][\d.]+)\]\)/.exec(cell)?.slice(1);
        if (numbers === undefined) return;
        const [mean, low, high] = numbers.map((number) => Number(number.replace("−", "-")));
        found.set(arms[at], { mean, low, high });
      });
    }
  }
  return found;
}

/** The chart as SVG. @param read the text of a file of docs/data */
export function chart(read) {
  const parts = [];
  const text = (x, y, words, attributes = "") => parts.push(`<text x="${x}" y="${y}" ${attributes}>${words}</text>`);
  TASKS.forEach(({ name, color }, at) => {
    parts.push(`<circle cx="${260 + 230 * at}" cy="16" r="4.5" fill="${color}"/>`);
    text(270 + 230 * at, 20, name);
  });
  for (const { title, x } of PANELS) text(x + PANEL / 2, 44, title, 'text-anchor="middle" class="strong"');
  let y = 58;
  const top = y;
  for (const [arm, title] of Object.entries(ARMS)) {
    text(8, y + 15 + ROW, title);
    for (const steps of STEPS) {
      text(222, y + 15, steps, 'text-anchor="end" class="tick"');
      for (const { row, x, low, high } of PANELS) {
        const at = (value) => (x + ((Math.min(high, Math.max(low, value)) - low) / (high - low)) * PANEL).toFixed(1);
        for (const { file, fidelity, color, dy } of TASKS) {
          const change = changes(read(`${file}.md`), steps, row ?? fidelity).get(arm);
          if (change === undefined) continue;
          const cy = y + 11 + dy;
          parts.push(
            `<path d="M${at(change.low)} ${cy}H${at(change.high)}" stroke="${color}" stroke-width="2"/>`,
            `<circle cx="${at(change.mean)}" cy="${cy}" r="3.5" fill="${color}"/>`,
          );
        }
      }
      y += ROW;
    }
    y += 8;
  }
  const axes = PANELS.flatMap(({ x, low, high, tick }) => {
    const ticks = Array.from({ length: Math.round((high - low) / tick) + 1 }, (_, i) => low + i * tick);
    return ticks.flatMap((value) => {
      const at = x + ((value - low) / (high - low)) * PANEL;
      return [
        `<path d="M${at} ${top}V${y}" class="${value === 0 ? "zero" : "grid"}"/>`,
        `<text x="${at}" y="${y + 16}" text-anchor="middle" class="tick">${value > 0 ? "+" : ""}${String(value).replace("-", "−")} %</text>`,
      ];
    });
  });
  const style =
    "text{font:13px system-ui,sans-serif;fill:#24292f}.strong{font-weight:600}.tick{font-size:11px}" +
    ".grid{stroke:#d0d7de}.zero{stroke:#57606a;stroke-width:1.5}" +
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.grid{stroke:#30363d}.zero{stroke:#9da7b3}}";
  const label =
    "Changes of the Fréchet distance above its floor and of fidelity against independent quantization after 150, 300 and 600 " +
    "steps of stage 2, means and 95 % intervals of five seeds";
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y + 26}" width="${WIDTH}" height="${y + 26}" role="img" aria-label="${label}">` +
    `<style>${style}</style>\n${[...axes, ...parts].join("\n")}\n</svg>\n`
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const docs = new URL("../docs/", import.meta.url);
  const svg = chart((name) => readFileSync(new URL(`data/${name}`, docs), "utf8"));
  writeFileSync(new URL("images/results.svg", docs), svg);
}
