import { tuneProcess } from "@iqvae/torch";
import { createProgram } from "./program.ts";
import { expectWorkingFolder, surviveLostOutput } from "./terminal.ts";

tuneProcess();

const program = createProgram();
surviveLostOutput();
program.hook("preAction", expectWorkingFolder);
try {
  await program.parseAsync();
} catch (error) {
  const { json, debug } = program.opts<{ json?: boolean; debug?: boolean }>();
  const message = error instanceof Error ? error.message : String(error);
  if (json) process.stdout.write(`${JSON.stringify({ event: "error", message })}\n`);
  else process.stderr.write(`${debug && error instanceof Error ? error.stack : message}\n`);
  process.exitCode = 1;
}
