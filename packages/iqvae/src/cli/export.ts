import { join } from "node:path";
import { WEIGHT_TYPES, type WeightType } from "@iqvae/runtime";
import { Command } from "commander";
import { exportRun } from "../export/bundle.ts";
import { openRun } from "../run/run-folder.ts";
import { consoleProgress } from "./console.ts";
import { oneOf, optionsOf } from "./options.ts";

interface ExportOptions {
  readonly out?: string;
  readonly weights: WeightType;
}

export function exportCommand(): Command {
  return new Command("export")
    .description("write a trained run as a folder that draws in Node and the browser, without libtorch")
    .argument("<run>", "a run folder, or its name in runs/")
    .option("--out <folder>", "a folder that is not there yet (default: export in the run folder)")
    .option(
      "--weights <type>",
      "f32, f16 (half the size) or int8 (a quarter); computed with as float32 in any case",
      oneOf(WEIGHT_TYPES),
      "f32",
    )
    .action(async (path: string, _: unknown, command: Command) => {
      const { out, weights, json } = optionsOf<ExportOptions>(command);
      const progress = consoleProgress({ json });
      const run = openRun(path);
      const { folder, files, rounding } = await exportRun(run, out ?? join(run.path, "export"), weights, progress);
      const bytes = Object.values(files).reduce((sum, each) => sum + each.bytes, 0);
      const cost =
        rounding === undefined
          ? ""
          : `; held-out nats a token ${rounding.asStored.toFixed(4)}, as trained ${rounding.asTrained.toFixed(4)}`;
      const text = `${folder}: ${(bytes / 1e6).toFixed(2)} MB as ${weights}${cost}`;
      progress.tell(text, { event: "exported", path: folder, weights, bytes, rounding: rounding ?? null });
    });
}
