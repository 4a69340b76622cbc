import { tuneProcess } from "@iqvae/torch";
import { InterruptedError } from "../support/interrupt.ts";
import "../support/kernels.ts"; // names the command that builds, for all errors
import { followStarter } from "./local-processes.ts";
import { createProgram } from "./program.ts";
import { isSaid, takeOwnDevice } from "./team.ts";
import { expectWorkingFolder, surviveLostOutput } from "./terminal.ts";

tuneProcess();

const program = await createProgram(process.argv.slice(2));
surviveLostOutput();
followStarter();
program.hook("preAction", expectWorkingFolder);
try {
  takeOwnDevice();
  await program.parseAsync();
} catch (error) {
  const { json, debug } = program.opts<{ json?: boolean; debug?: boolean }>();
  const message = error instanceof Error ? error.message : String(error);
  if (isSaid(error) || error instanceof InterruptedError) {
    // By the first process, or when the signal came, and once is enough.
  } else if (json) process.stdout.write(`${JSON.stringify({ event: "error", message })}\n`);
  else process.stderr.write(`${debug && error instanceof Error ? error.stack : message}\n`);
  process.exitCode = error instanceof InterruptedError ? (process.exitCode ?? 1) : 1;
}
