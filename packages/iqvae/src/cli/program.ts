import { Command } from "commander";
import { VERSION } from "../support/version.ts";

/** A command's modules are loaded when it is asked for: those of all are hundreds, and take longer than many commands do. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  setup: async () => (await import("./setup.ts")).setupCommand(),
  start: async () => (await import("./start.ts")).startCommand(),
  train: async () => (await import("./train.ts")).trainCommand(),
  resume: async () => (await import("./train.ts")).resumeCommand(),
  sample: async () => (await import("./sample.ts")).sampleCommand(),
  likelihood: async () => (await import("./likelihood.ts")).likelihoodCommand(),
  report: async () => (await import("./report.ts")).reportCommand(),
  export: async () => (await import("./export.ts")).exportCommand(),
  serve: async () => (await import("./serve.ts")).serveCommand(),
  studio: async () => (await import("./studio.ts")).studioCommand(),
  plan: async () => (await import("./plan.ts")).planCommand(),
  metrics: async () => (await import("./metrics.ts")).metricsCommand(),
  data: async () => (await import("./data.ts")).dataCommand(),
  import: async () => (await import("./import.ts")).importCommand(),
  reproduce: async () => (await import("./reproduce.ts")).reproduceCommand(),
  doctor: async () => (await import("./doctor.ts")).doctorCommand(),
};

/** What the program calls itself by: helps nobody who reads the list. */
const HIDDEN: typeof COMMANDS = {
  "time-steps": async () => (await import("./time-steps.ts")).timeStepsCommand(),
};

/**
 * The command line; nothing runs before it is given arguments to parse.
 *
 * @param args what it will be given: when they name a command, it has that one alone. Help, and the names nearest to one that is
 *   unknown, need all.
 */
export async function createProgram(args: readonly string[] = []): Promise<Command> {
  const program = new Command("iqvae")
    .description("Conditional image synthesis with integrated quantization")
    .version(VERSION)
    .option("--json", "one JSON object a line, for machines")
    .option("--debug", "show where an error arose")
    .showSuggestionAfterError();

  // No option before a command's name takes a value.
  const name = args.find((argument) => !argument.startsWith("-")) ?? "";
  const asked = { ...COMMANDS, ...HIDDEN };
  const commands = Object.hasOwn(asked, name) ? [asked[name]!] : Object.values(COMMANDS);
  for (const load of commands) program.addCommand(await load());
  return program;
}
