import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "../config/index.ts";
import { flat } from "../run/basis.ts";
import { type Checkpoint, listCheckpoints, readCheckpoint } from "../run/checkpoint.ts";
import { type MetricsRecord, readMetrics } from "../run/metrics-log.ts";
import { nameOf, type RunFolder } from "../run/run-folder.ts";
import { STAGES, type Stage } from "../support/trainer.ts";
import { VERSION } from "../support/version.ts";
import { type Chart, chart, type Series } from "./chart.ts";
import { embeddedPng, escapeHtml, page, table } from "./html.ts";
import { STYLE } from "./style.ts";
import { triples } from "./triples.ts";

/**
 * A run as one HTML file that needs nothing else: pictures, curves, figures, configuration.
 *
 * @param samples a PNG to show in place of the newest samples of the training
 */
export function report(run: RunFolder, samples = newestPicture(run, "stage2")): string {
  const { config } = run;
  const records = readMetrics(run.log.path);
  const checkpoints = new Map(STAGES.map((stage) => [stage, newestCheckpoint(run, stage)]));
  const reconstructions = newestPicture(run, "stage1");
  const body = [
    `<h1>${escapeHtml(nameOf(run))}</h1>`,
    `<p class="soft">${escapeHtml(describeData(config))} · ${STAGES.map((stage) => progressOf(stage, config, checkpoints.get(stage))).join(" · ")}</p>`,
    tiles(config, records),
    picture("Samples", "Each row: a held-out condition, its real image, and images drawn for it.", samples),
    picture(
      "Reconstructions",
      "What stage 1 makes of held-out conditions and images, through their codes.",
      reconstructions,
    ),
    triples([run]),
    ...STAGES.map((stage) => curves(stage, config, records)),
    `<h2>Configuration and versions</h2><div class="columns">${table(settingRows(config))}${table(versions(checkpoints))}</div>`,
  ];
  return page(nameOf(run), STYLE, body);
}

export const STAGE_NAMES: Readonly<Record<Stage, string>> = {
  stage1: "Stage 1: codes",
  stage2: "Stage 2: transformer",
};

export function describeData({ data }: Config): string {
  return `${data.name}, ${data.condition} → image, ${data.size} × ${data.size} pixels`;
}

function progressOf(stage: Stage, config: Config, checkpoint: Checkpoint | undefined): string {
  const [done, steps] = [checkpoint?.step ?? 0, config[stage].steps];
  return `${stage.replace("stage", "stage ")}: ${done >= steps ? `all ${steps}` : `${done} of ${steps}`} steps`;
}

function newestCheckpoint(run: RunFolder, stage: Stage): Checkpoint | undefined {
  const path = listCheckpoints(run.checkpoints, stage)[0]?.path;
  return path === undefined ? undefined : readCheckpoint(path);
}

function newestPicture(run: RunFolder, stage: Stage): Uint8Array | undefined {
  const names = existsSync(run.samples) ? readdirSync(run.samples) : [];
  const newest = names
    .filter((name) => name.startsWith(`${stage}-`) && name.endsWith(".png"))
    .sort()
    .at(-1);
  return newest === undefined ? undefined : readFileSync(join(run.samples, newest));
}

export function picture(title: string, caption: string, png: Uint8Array | undefined): string {
  if (png === undefined) return "";
  return `<h2>${title}</h2><figure class="picture"><figcaption>${caption}</figcaption>${embeddedPng(png, title)}</figure>`;
}

/** The newest held-out figures that say most. */
function tiles(config: Config, records: readonly MetricsRecord[]): string {
  const newest = (stage: Stage, name: string) => {
    const value = records.findLast((r) => r.stage === stage && r.split === "validation" && name in r)?.[name];
    return typeof value === "number" ? value : undefined;
  };
  const { image, condition } = config.stage1.model;
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const entries: [string, number | undefined, (value: number) => string][] = [
    // Pixels lie in [−1, 1], so the peak is 2.
    ["reconstruction, PSNR", newest("stage1", "imageMse"), (mse) => `${(10 * Math.log10(4 / mse)).toFixed(1)} dB`],
    ["condition right", newest("stage1", "conditionAccuracy"), percent],
    [`image codes in use, of ${image.codes}`, newest("stage1", "imageActive"), percent],
    [`condition codes in use, of ${condition.codes}`, newest("stage1", "conditionActive"), percent],
    ["bits a token, held out", newest("stage2", "bits"), (bits) => bits.toFixed(2)],
  ];
  const shown = entries.flatMap(([label, value, format]) =>
    value === undefined ? [] : [`<div class="tile"><b>${format(value)}</b><span>${label}</span></div>`],
  );
  return shown.length === 0 ? "" : `<div class="tiles">${shown.join("")}</div>`;
}

function curves(stage: Stage, config: Config, records: readonly MetricsRecord[]): string {
  const charts = chartsOf(stage, config, records)
    .map(chart)
    .filter((svg) => svg !== "");
  if (charts.length === 0) return "";
  const legend = `<p class="legend"><span class="train">training</span><span class="validation">held out</span></p>`;
  return `<h2>${STAGE_NAMES[stage]}</h2>${legend}<div class="charts">${charts.join("")}</div>`;
}

/** One chart a figure, in the order in which figures first appear. */
function chartsOf(stage: Stage, config: Config, records: readonly MetricsRecord[]): Chart[] {
  const mine = records.filter((record) => record.stage === stage);
  const names = new Set(mine.flatMap((record) => Object.keys(record)));
  for (const key of ["stage", "step", "split"]) names.delete(key);
  return [...names].map((name) => {
    const series = (["train", "validation"] as const).map((split): Series => {
      const points = mine.flatMap((record): [number, number][] => {
        const value = record[name];
        return record.split === split && typeof value === "number" ? [[record.step, value]] : [];
      });
      return { split, points };
    });
    const note = noteOf(name, config);
    return { title: titleOf(name), series, ...(note === undefined ? {} : { note }) };
  });
}

const TITLES: Readonly<Record<string, string>> = {
  loss: "Loss",
  rate: "Learning rate",
  nll: "Negative log-likelihood",
  imageLoss: "Image ℓ1",
  imageMse: "Image squared error",
  conditionLoss: "Condition loss",
  conditionAccuracy: "Condition right",
  conditionMapIou: "Condition mIoU",
  conditionF1: "Condition F1",
  imageActive: "Image codes, share in use",
  conditionActive: "Condition codes, share in use",
};

/** `imagePerplexity` → `Image perplexity`. */
export function titleOf(name: string): string {
  const words = name.replace(/([A-Z])/g, (letter) => ` ${letter.toLowerCase()}`);
  return TITLES[name] ?? words.charAt(0).toUpperCase() + words.slice(1);
}

export function noteOf(name: string, { stage1 }: Config): string | undefined {
  const { image, condition } = stage1.model;
  if (name === "nll") return "nats a token";
  if (name === "bits") return "a token";
  if (name === "imageActive") return `of ${image.codes}`;
  if (name === "conditionActive") return `of ${condition.codes}`;
  if (name === "imagePerplexity") return `of ${image.codes}`;
  return name === "conditionPerplexity" ? `of ${condition.codes}` : undefined;
}

function versions(checkpoints: ReadonlyMap<Stage, Checkpoint | undefined>): [string, string][] {
  const rows = [...checkpoints].flatMap(([stage, checkpoint]) =>
    checkpoint === undefined
      ? []
      : Object.entries(checkpoint.versions).map(([name, version]): [string, string] => [`${stage}: ${name}`, version]),
  );
  return [["report: iqvae", VERSION], ...rows];
}

/** `{ a: { b: 1 } }` → `a.b`, `1`; exactly as `--set` takes them. */
export function settingRows(config: object): [string, string][] {
  return Object.entries(flat(config)).map(([path, value]) => [path, settingText(value)]);
}

/** A value of a configuration: text as it is, all else as JSON. */
export function settingText(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}
