import { existsSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { ModelError } from "@iqvae/runtime";
import { checkWritable, replaceFile, setNumThreads } from "@iqvae/torch";
import { Command } from "commander";
import { type Config, loadConfig, PRESET_NAMES, withSettings } from "../config/index.ts";
import { spreadRows } from "../data/index.ts";
import { report } from "../report/report.ts";
import { isExported } from "../run/exported.ts";
import { SAMPLES, samplesSheet } from "../run/pictures.ts";
import { createRun, expectCreatable, openRun, RUNS, type RunFolder } from "../run/run-folder.ts";
import { statusOf } from "../run/status.ts";
import { expectData, openData } from "../run/train-run.ts";
import { ImageGenerator } from "../sampling/generator.ts";
import { LIMITS } from "../serve/limits.ts";
import type { Progress } from "../support/progress.ts";
import { chooseProcesses } from "./choose-processes.ts";
import { consoleProgress } from "./console.ts";
import { fitted, stepSeconds } from "./fit-to-machine.ts";
import { runLocally } from "./local-processes.ts";
import { collect, oneOf, optionsOf, THREADS, threads } from "./options.ts";
import { sampleExported } from "./sample-exported.ts";
import { PORT, page } from "./serve.ts";
import { shipped } from "./shipped.ts";
import { exportForPage, serveStudio } from "./studio.ts";
import { orDiscard, trainAttended } from "./training.ts";

interface StartOptions {
  readonly preset: string;
  readonly set?: string[];
  readonly threads?: number;
}

const USUAL = "start";
/** Held-out conditions in the picture. */
const ROWS = 8;

export function startCommand(): Command {
  return new Command("start")
    .description(
      "train a small model if there is none yet, draw samples, and open them in the studio when in a terminal",
    )
    .option("--preset <name>", "the preset to train (files: iqvae train)", oneOf(PRESET_NAMES), USUAL)
    .option("--set <key=value>", "another value for a new run; may be repeated", collect(String))
    .option(...THREADS, threads)
    .action(async (_: unknown, command: Command) => {
      const { preset, set, threads, json } = optionsOf<StartOptions>(command);
      const progress = consoleProgress({ json });
      const files = { samples: resolve("samples.png"), page: resolve("report.html") };
      for (const file of Object.values(files)) checkWritable(file);
      if (threads !== undefined) setNumThreads(threads);
      const run = openOrCreate(preset, set ?? [], progress);
      const train = async () => {
        await drawAtOnce(preset, files.samples, progress);
        return await trained(run, { threads, json, goOn: commandOf(preset) }, progress);
      };
      if (!statusOf(run).finished && !(await orDiscard(run, undefined, train))) return;
      await drawAll(run, files, progress);
      const paints = !json && process.stdin.isTTY && process.stdout.isTTY && page() !== undefined;
      if (paints) await paint(run, progress);
      else progress.tell("Paint:   npm run studio", { event: "paint", command: "npm run studio" });
    });
}

/** Trains what is left, in this process or in several. @returns whether it is finished */
async function trained(
  run: RunFolder,
  { threads, json, goOn }: { readonly threads: number | undefined; readonly json: boolean; readonly goOn: string },
  progress: Progress,
): Promise<boolean> {
  const asked = { device: "cpu", threads };
  const processes = await chooseProcesses(run.config, asked, progress, { run, prepare: expectData });
  if (processes === 1) return await trainAttended(run, progress, { threads, goOn });
  await runLocally(processes, ["resume", run.path, ...(json ? ["--json"] : [])]);
  return statusOf(run).finished;
}

/** What goes on with the run of a preset; the values that it was made with need not be said again. */
function commandOf(preset: string): string {
  return preset === USUAL ? "npm start" : `npx iqvae start --preset ${preset}`;
}

/** Opens the studio with the models that come with the program, and the one of the run, under a name that none of them has. */
async function paint(run: RunFolder, progress: Progress): Promise<void> {
  const folder = await exportForPage(run, progress);
  const models = shipped("models");
  const paths = models === undefined ? [folder] : [models, folder];
  announce(`Opening the studio with all models; yours is ${basename(folder)}`, "some seconds", progress);
  await serveStudio(paths, { host: "127.0.0.1", port: PORT, anyPort: true, limits: LIMITS, open: true }, progress);
}

/** Says what comes next, and how long it takes. */
function announce(what: string, takes: string, progress: Progress): void {
  progress.tell(`${what}: ${takes}.`, { event: "next", what, takes });
}

/** A picture to look at while the training goes on, unless there is one, by the model of the preset, where one comes with the program. */
async function drawAtOnce(preset: string, samples: string, progress: Progress): Promise<void> {
  const models = shipped("models");
  if (existsSync(samples) || models === undefined) return;
  const model = join(models, preset);
  if (!isExported(model)) return;
  announce("Drawing first samples, with a model that comes with the program", "some seconds", progress);
  try {
    const { picture } = await sampleExported(model, { count: SAMPLES, sampling: {} }, ROWS, progress);
    replaceFile(samples, picture);
  } catch (error) {
    if (!(error instanceof ModelError)) throw error;
    const { message } = error;
    progress.tell(`No first samples: ${message}. The training begins.`, { event: "no first samples", message });
    return;
  }
  progress.tell(`First samples, by a model that comes with the program: ${samples}`, {
    event: "first samples",
    samples,
  });
}

/** The run of a preset, and what there is to say about it. */
function openOrCreate(preset: string, settings: readonly string[], progress: Progress): RunFolder {
  const path = join(RUNS, preset);
  if (!existsSync(join(path, "config.json"))) {
    const config = loadConfig(preset, settings);
    expectCreatable(path, config);
    const run = createRun(path, sized(config, settings, progress));
    progress.tell(`Training ${preset} in ${path}`, { event: "run", path });
    return run;
  }
  const run = openRun(path);
  // Values come in another order when they are set.
  if (!isDeepStrictEqual(withSettings(run.config, settings, path), run.config)) {
    throw new Error(
      `${path} was made with other values than ${settings.join(", ")}. Delete it to begin anew, or train another run: ` +
        `npx iqvae train ${preset} ${settings.map((setting) => `--set ${setting}`).join(" ")}`,
    );
  }
  const { stage, step, steps, finished } = statusOf(run);
  const state = finished
    ? `${path} is trained already (delete it to begin anew): drawing samples`
    : `${path} is unfinished: going on from step ${step} of ${steps} of ${stage}`;
  progress.tell(state, { event: "run", path, stage, step, steps, finished });
  return run;
}

/** A new training in as many steps as this machine makes in some minutes, unless the steps were asked for. */
function sized(config: Config, settings: readonly string[], progress: Progress): Config {
  if (settings.some((setting) => /^stage[12]\.(steps|batch|model)/.test(setting))) return config;
  announce("Measuring how fast this machine trains", "some seconds", progress);
  const each = stepSeconds(config);
  if (each === undefined) return config;
  const { config: fits, seconds } = fitted(config, each);
  const [first, second] = [fits.stage1.steps, fits.stage2.steps];
  const shorter = first < config.stage1.steps;
  const whole = shorter
    ? `, in place of ${config.stage1.steps} and ${config.stage2.steps}, which would take ${minutes((seconds * config.stage1.steps) / first)}`
    : "";
  const text = `${first} and ${second} steps of the two stages${whole}: about ${minutes(seconds)} on this machine.`;
  progress.tell(text, { event: "sized", stage1: first, stage2: second, seconds, shorter });
  return fits;
}

function minutes(seconds: number): string {
  const whole = Math.max(1, Math.round(seconds / 60));
  return whole === 1 ? "a minute" : `${whole} minutes`;
}

async function drawAll(
  run: RunFolder,
  { samples, page }: { readonly samples: string; readonly page: string },
  progress: Progress,
): Promise<void> {
  using generator = ImageGenerator.load(run);
  announce("Drawing samples, and writing the report", "some seconds", progress);
  const dataset = await openData(run.config.data, progress);
  try {
    const rows = spreadRows(dataset.validation, ROWS);
    progress.begin("drawing images", rows.length * SAMPLES, 0);
    const sheet = await samplesSheet(generator, dataset, rows, (share) =>
      progress.update(Math.floor(share * rows.length * SAMPLES)),
    );
    progress.end();
    replaceFile(samples, sheet);
    replaceFile(page, report(run, sheet));
    const text = `\nSamples: ${samples}\nReport:  ${page}\nMore:    npx iqvae sample ${run.path} --seed 1`;
    progress.tell(text, { event: "drawn", samples, report: page });
  } finally {
    dataset.close();
  }
}
