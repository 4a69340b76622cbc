import { getNumThreads, setDefaultDevice, setNumThreads, WriteError } from "@iqvae/torch";
import { Command } from "commander";
import { heldOutPart, type PairDataset, SCORED_PARTS, type ScoredPart } from "../data/index.ts";
import { recordScore } from "../export/bundle.ts";
import {
  type FeatureNetwork,
  type FeatureNetworkSpec,
  OFFICIAL_NETWORKS,
  openFeatureNetwork,
} from "../metrics/index.ts";
import { defaultJudge, expectImpartial, JUDGE_NAMES, type JudgeName, judgeSpec } from "../metrics/judges.ts";
import { comparable, type RunScore, readScore, writeScore } from "../metrics/run-score.ts";
import { expectMeasurable, type ScoreOptions, scoreExported, scoreRun } from "../metrics/score.ts";
import { scoreTable } from "../metrics/table.ts";
import { type ExportedModel, isExported, openExported } from "../run/exported.ts";
import { openRun, type RunFolder } from "../run/run-folder.ts";
import { openData } from "../run/train-run.ts";
import { weightsDigest } from "../run/weights.ts";
import type { Peers } from "../support/peers.ts";
import type { Progress } from "../support/progress.ts";
import { MOST_SCALE } from "../support/schema.ts";
import { firstOfMachine, onFirst } from "../support/share.ts";
import { consoleProgress } from "./console.ts";
import { argumentsForEach, runLocally, startsOthers } from "./local-processes.ts";
import {
  collect,
  DEVICE,
  device,
  drawingAsked,
  numberAbove,
  oneOf,
  optionsOf,
  PART,
  processesOption,
  THREADS,
  threads,
  whole,
} from "./options.ts";
import { joinPeers, voiceOf } from "./team.ts";

interface MetricsCommandOptions {
  readonly against?: string;
  readonly count: number;
  readonly samples: number;
  readonly seed: number;
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly guidance?: number;
  readonly judge?: readonly JudgeName[];
  readonly inception?: string;
  readonly vgg?: string;
  readonly part: ScoredPart;
  readonly threads?: number;
  readonly device: string;
  readonly processes?: number;
}

export function metricsCommand(): Command {
  return new Command("metrics")
    .description(
      "measure what a run or an exported model draws, and write metrics.json into its folder, and the figures into an exported model's card",
    )
    .argument("<run>", "a run folder, its name in runs/, or a folder that iqvae export wrote")
    .option("--against <run>", "another of them to show beside it; it is measured too unless it was in the same way")
    .option("--count <images>", "images to draw in all", whole(8), 1000)
    .option("--samples <images>", "images for each held-out condition, if there are enough conditions", whole(2), 8)
    .option("--seed <number>", "equal seeds draw equal images", whole(0), 0)
    .option("--temperature <number>", "below 1 safer, above 1 more varied", numberAbove(0, MOST_SCALE))
    .option("--top-k <count>", "draw among the likeliest codes only", whole(1))
    .option("--top-p <share>", "draw among the likeliest codes that reach this probability", numberAbove(0, 1))
    .option(
      "--guidance <scale>",
      "above 1 follows the condition more closely, and varies less",
      numberAbove(0, MOST_SCALE),
    )
    .option(
      "--judge <name>",
      `network to measure with in place of the usual one, ${JUDGE_NAMES.join(", ")}; may be given several times`,
      collect(oneOf(JUDGE_NAMES)),
    )
    .option("--inception <file>", "weights of Inception-v3, for FID proper")
    .option("--vgg <file>", "weights of VGG-16 with LPIPS heads, for LPIPS proper")
    .option(...PART, oneOf(SCORED_PARTS), "report")
    .option(...THREADS, threads)
    .option(...DEVICE, device, "cpu")
    .option(...processesOption(), threads)
    .addHelpText(
      "after",
      `\nSampling options that are left out come from the first run's configuration.\n\n${weightsHelp()}`,
    )
    .action(async (path: string, _: unknown, command: Command) => {
      const options = optionsOf<MetricsCommandOptions>(command);
      const runs = [path, ...(options.against === undefined ? [] : [options.against])].map(openMeasured);
      if (startsOthers(options.processes)) return await runLocally(options.processes, argumentsForEach());
      setNumThreads(options.threads ?? threadsOfLibtorch());
      setDefaultDevice(options.device);
      const peers = joinPeers(options.device, options.threads);
      const progress = voiceOf(peers, consoleProgress(options));
      const warn = (message: string) => progress.tell(message, { event: "warning", message });
      const [run, other] = runs as [Measured, Measured?];
      const wanted = async (one: Measured) => ({
        ...(await firstOfMachine(peers, () => optionsFor(one, runs, options, progress))),
        peers,
      });
      const first = await scored(run, await wanted(run));
      await onFirst(peers, () => keep(run, first, warn));
      const second = other && (await scoreBeside(first, other, () => wanted(other), peers, warn));
      if (second !== undefined && !comparable(first, second))
        throw new Error(
          `${second.run} cannot be held against ${first.run}: their data, sizes or numbers of held-out conditions differ.`,
        );
      const against = second === undefined ? {} : { against: second };
      progress.tell(scoreTable(first, second), { event: "metrics", ...first, ...against });
    });
}

/** Whoever draws, libtorch measures. @throws Error where it is not there */
function threadsOfLibtorch(): number {
  try {
    return getNumThreads();
  } catch (cause) {
    throw new Error(
      "Images are judged by networks that run on libtorch, also those of exported models, which are drawn without it " +
        `(npx iqvae sample). It is not there: ${(cause as Error).message}`,
      { cause },
    );
  }
}

type Measured = RunFolder | ExportedModel;

function openMeasured(path: string): Measured {
  if (!isExported(path)) return openRun(path);
  return openExported(path, "Measure the run that it was exported from.");
}

async function scored(run: Measured, options: ScoreOptions): Promise<RunScore> {
  return "loadModels" in run ? await scoreRun(run, options) : await scoreExported(run, options);
}

/** The score of another run as it was kept, where it is of the same kind; else anew. Figures that it has stay: nobody asked for others. */
async function scoreBeside(
  first: RunScore,
  other: Measured,
  wanted: () => Promise<ScoreOptions>,
  peers: Peers | undefined,
  warn: (message: string) => void,
): Promise<RunScore> {
  const weights = "loadModels" in other ? weightsDigest(other) : other.weights;
  const stored = await onFirst(peers, () => readScore(other.path, weights, warn));
  if (stored !== undefined && comparable(stored, first)) return stored;
  const score = await scored(other, await wanted());
  if (stored === undefined && "loadModels" in other) await onFirst(peers, () => keep(other, score, warn));
  return score;
}

/** Writes a score into the folder, and into the card that an exported model has. Where neither can be, the figures are told all the same. */
function keep(run: Measured, score: RunScore, warn: (message: string) => void): void {
  try {
    writeScore(run.path, score);
    if (!("loadModels" in run)) recordScore(run.path, score);
  } catch (error) {
    if (!(error instanceof WriteError)) throw error;
    warn(`${error.message} The figures are not kept.`);
  }
}

/** As many conditions of the part as give `count` images; where there are too few, more images of each. */
async function optionsFor(
  run: Measured,
  runs: readonly Measured[],
  { count, samples, seed, part, ...rest }: MetricsCommandOptions,
  progress: Progress,
): Promise<ScoreOptions> {
  const sampling = { ...runs[0]!.config.sampling, ...drawingAsked(rest) };
  const asked = { conditions: Math.ceil(count / samples), samples, part, seed, sampling, progress };
  // Before data are drawn, and networks trained or fetched.
  for (const one of runs) expectMeasurable(one, asked);
  const dataset = await openData(run.config.data, progress);
  dataset.close();
  // The names of pairs stay at hand.
  const { length } = heldOutPart(dataset, part).validation;
  const conditions = Math.min(length, asked.conditions);
  return {
    ...asked,
    conditions,
    samples: Math.max(samples, Math.ceil(count / conditions)),
    networks: await networksFor(dataset, runs, rest, progress),
  };
}

/** The networks that measure all the runs. @throws Error when one of them is in the loss of one of the runs */
async function networksFor(
  { name, size }: PairDataset,
  runs: readonly Measured[],
  { judge, inception, vgg }: Pick<MetricsCommandOptions, "judge" | "inception" | "vgg">,
  progress: Progress,
): Promise<FeatureNetwork[]> {
  const configs = runs.map(({ config }) => config);
  const specs: FeatureNetworkSpec[] = [
    ...(judge === undefined
      ? [defaultJudge({ name, size }, configs)]
      : [...new Set(judge)].map((one) => judgeSpec(one, size))),
    ...(inception === undefined ? [] : [{ kind: "inception-v3-fid", path: inception } as const]),
    ...(vgg === undefined ? [] : [{ kind: "vgg16-lpips", path: vgg } as const]),
  ];
  // Before anything is fetched or trained.
  for (const { path, config } of runs) expectImpartial(path, config, specs);
  const networks: FeatureNetwork[] = [];
  for (const spec of specs) networks.push(await openFeatureNetwork(spec, { progress }));
  return networks;
}

/** Where the weights of the official networks come from. */
function weightsHelp(): string {
  const lines = Object.entries(OFFICIAL_NETWORKS).map(([name, files]) => {
    const sources = files.map(({ url, megabytes, license }) => `    ${url} (${megabytes} MB, ${license})`);
    return `  python3 tools/convert-weights.py ${name} FILES… -o ${name}.safetensors\n${sources.join("\n")}`;
  });
  return `Weights are not downloaded. Fetch the published files; the tool checks their hashes:\n${lines.join("\n")}`;
}
