import { join } from "node:path";
import { replaceFile } from "@iqvae/torch";
import { Command } from "commander";
import { compareReport } from "../report/compare.ts";
import { compareSamples } from "../report/compare-samples.ts";
import { report } from "../report/report.ts";
import { CheckpointError } from "../run/checkpoint.ts";
import { openRun, type RunFolder } from "../run/run-folder.ts";
import type { Progress } from "../support/progress.ts";
import { consoleProgress } from "./console.ts";
import { optionsOf, outputFile } from "./options.ts";

interface ReportOptions {
  readonly samples: boolean;
  readonly out?: string;
}

export function reportCommand(): Command {
  return new Command("report")
    .description("write the report of a run, or one that compares several")
    .argument("<run...>", "run folders, or their names in runs/")
    .option("--no-samples", "do not draw images to compare")
    .option("--out <file.html>", "the page (default: report.html of the run; of several, comparison.html of the first)")
    .action(async (paths: string[], _: unknown, command: Command) => {
      const { samples, out, json } = optionsOf<ReportOptions>(command);
      const progress = consoleProgress({ json });
      const runs = paths.map(openRun);
      const [only, another] = runs;
      const several = another !== undefined;
      const path = outputFile(out, several ? join(only!.path, "comparison.html") : only!.report);
      const html = several ? compareReport(runs, samples ? await drawn(runs, progress) : undefined) : report(only!);
      replaceFile(path, html);
      progress.tell(`Look at ${path}`, { event: "report", path, runs: runs.map((run) => run.path) });
    });
}

/** Samples of all runs, if they can be had; else why not is told, and the report goes without. */
async function drawn(runs: readonly RunFolder[], progress: Progress): Promise<Buffer | undefined> {
  try {
    const picture = await compareSamples(runs, progress);
    if (picture === undefined) {
      const text = "No samples side by side: the runs are of different data.";
      progress.tell(text, { event: "no-samples", text });
    }
    return picture;
  } catch (error) {
    if (!(error instanceof CheckpointError)) throw error;
    progress.tell(`No samples side by side: ${error.message}`, { event: "no-samples", text: error.message });
    return undefined;
  }
}
