import { Command } from "commander";
import { VERSION } from "../support/version.ts";
import { dataCommand } from "./data.ts";
import { doctorCommand } from "./doctor.ts";
import { exportCommand } from "./export.ts";
import { importCommand } from "./import.ts";
import { likelihoodCommand } from "./likelihood.ts";
import { metricsCommand } from "./metrics.ts";
import { planCommand } from "./plan.ts";
import { reportCommand } from "./report.ts";
import { reproduceCommand } from "./reproduce.ts";
import { sampleCommand } from "./sample.ts";
import { serveCommand } from "./serve.ts";
import { startCommand } from "./start.ts";
import { studioCommand } from "./studio.ts";
import { resumeCommand, trainCommand } from "./train.ts";

/** The command line with all commands; nothing runs before it is given arguments to parse. */
export function createProgram(): Command {
  const program = new Command("iqvae")
    .description("Conditional image synthesis with integrated quantization")
    .version(VERSION)
    .option("--json", "one JSON object a line, for machines")
    .option("--debug", "show where an error arose")
    .showSuggestionAfterError();

  for (const command of [
    startCommand(),
    trainCommand(),
    resumeCommand(),
    sampleCommand(),
    likelihoodCommand(),
    reportCommand(),
    exportCommand(),
    serveCommand(),
    studioCommand(),
    planCommand(),
    metricsCommand(),
    dataCommand(),
    importCommand(),
    reproduceCommand(),
    doctorCommand(),
  ]) {
    program.addCommand(command);
  }
  return program;
}
