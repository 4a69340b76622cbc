import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/*
 * Draws docs/images/results.svg from the tables of docs/data: `node tools/results-chart.mjs`. A dot is the mean change against the arm
 * without a regularizer, seed by seed; a line reaches one standard deviation of the three seeds to either side.
 */

const ARMS = {
  "+ variational regularizer": "regularizer as described",
  "+ regularizer + Gumbel sampling": "the same with Gumbel sampling",
  "+ Gumbel sampling alone": "Gumbel sampling alone",
  "regularizer moves the condition alone": "moves the condition's encoder",
  "regularizer moves the image alone": "moves the image's encoder",
};
const TASKS = [
  { name: "emoji from edges (edge F1)", file: "emoji-edges", fidelity: "edge F1", color: "#3b82c4", dy: -5 },
  { name: "faces from maps (mIoU)", file: "faces-semantic", fidelity: "mIoU", color: "#d9822b", dy: 5 },
];
const BLOCKS = [
  { title: "without a perceptual term", suffix: "", arms: Object.keys(ARMS) },
  {
    title: "with a perceptual term",
    suffix: "-perceptual",
    arms: Object.keys(ARMS).filter((arm) => !arm.includes("condition")),
  },
];
const PANELS = [
  { title: "Fréchet distance (← better)", row: "Fréchet distance (", x: 245, low: -15, high: 30 },
  { title: "fidelity to the condition (better →)", row: null, x: 555, low: -6, high: 9 },
];
const [WIDTH, PANEL, ROW] = [850, 270, 30];

/** `{ mean, deviation }` of each arm's change in percent, out of a table that `iqvae reproduce` wrote. */
export function changes(markdown, rowStart) {
  const found = new Map();
  let arms = [];
  for (const line of markdown.split("\n").filter((text) => text.startsWith("|"))) {
    const [label, ...cells] = line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim());
    if (label === "") arms = cells;
    if (!label.startsWith(rowStart) || !arms[0].startsWith("independent")) continue;
    cells.forEach((cell, at) => {
      const [, mean, deviation] = /\(([+−][\d.]+) % ± ([\d.]+)\)/.exec(cell) ?? [];
      if (mean !== undefined)
        found.set(arms[at], { mean: Number(mean.replace("−", "-")), deviation: Number(deviation) });
    });
  }
  return found;
}

/** The chart as SVG. @param read the text of a file of docs/data */
export function chart(read) {
  const parts = [];
  const text = (x, y, words, attributes = "") => parts.push(`<text x="${x}" y="${y}" ${attributes}>${words}</text>`);
  TASKS.forEach(({ name, color }, at) => {
    parts.push(`<circle cx="${255 + 250 * at}" cy="16" r="4.5" fill="${color}"/>`);
    text(265 + 250 * at, 20, name);
  });
  for (const { title, x } of PANELS) text(x + PANEL / 2, 44, title, 'text-anchor="middle" class="strong"');
  let y = 62;
  const top = y - 6;
  for (const { title, suffix, arms } of BLOCKS) {
    text(8, y + 10, title, 'class="strong"');
    y += 24;
    for (const arm of arms) {
      text(18, y + 14, ARMS[arm]);
      for (const { row, x, low, high } of PANELS) {
        const at = (value) => (x + ((value - low) / (high - low)) * PANEL).toFixed(1);
        for (const { file, fidelity, color, dy } of TASKS) {
          const change = changes(read(`${file}${suffix}.md`), row ?? fidelity).get(arm);
          if (change === undefined) continue;
          const { mean, deviation } = change;
          const cy = y + 10 + dy;
          parts.push(
            `<path d="M${at(mean - deviation)} ${cy}H${at(mean + deviation)}" stroke="${color}" stroke-width="2"/>`,
            `<circle cx="${at(mean)}" cy="${cy}" r="4" fill="${color}"/>`,
          );
        }
      }
      y += ROW;
    }
    y += 6;
  }
  const axes = PANELS.flatMap(({ x, low, high }) => {
    const step = high - low > 20 ? 15 : 3;
    const ticks = Array.from({ length: Math.round((high - low) / step) + 1 }, (_, i) => low + i * step);
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
    "Changes of the Fréchet distance and of fidelity against training without a regularizer, mean and deviation of three seeds";
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
