import { readScore } from "../metrics/run-score.ts";
import { TRIPLE_HEAD, triplesOf } from "../metrics/table.ts";
import type { RunFolder } from "../run/run-folder.ts";
import { weightsDigest } from "../run/weights.ts";
import { escapeHtml } from "./html.ts";

/**
 * What `iqvae metrics` found that each stage costs, for those of the runs that it has measured: reconstruction, gap and total always
 * together. Nothing where it has measured none with the weights that the runs have now.
 */
export function triples(runs: readonly Pick<RunFolder, "path" | "checkpoints">[]): string {
  const scores = runs.flatMap((run) => {
    const score = readScore(run.path, weightsDigest(run));
    // The folder may have been moved since.
    return score === undefined ? [] : [{ ...score, run: run.path }];
  });
  const rows = scores.flatMap(triplesOf);
  if (rows.length === 0) return "";
  const settings = scores.map(({ settings: { conditions, samples, part, seed, guidance } }) => {
    const guided = guidance === 1 ? "" : `, guidance ${guidance}`;
    return `${conditions} conditions × ${samples} images of the part '${part}', seed ${seed}${guided}`;
  });
  const cells = (tag: "th" | "td", row: readonly string[]) =>
    row.map((cell, i) => (i === 0 ? `<th>${escapeHtml(cell)}</th>` : `<${tag}>${escapeHtml(cell)}</${tag}>`)).join("");
  const body = rows.map((row) => `<tr>${cells("td", row)}</tr>`).join("");
  const note =
    "Of stage 1 alone, of stage 2 alone (samples against reconstructions of true images), and of both; in brackets what true " +
    "images score. A tokenizer that says less has a smaller gap, so none of the three means anything alone. Compare runs with " +
    "equal settings only.";
  return (
    `<h2>What each stage costs</h2><p class="soft">${escapeHtml([...new Set(settings)].join("; "))}. ${escapeHtml(note)}</p>` +
    `<table><tr>${cells("th", TRIPLE_HEAD)}</tr>${body}</table>`
  );
}
