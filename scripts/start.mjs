import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { buildPage, compileTypeScript, setup } from "./setup.mjs";
import { root } from "./step.mjs";

/* Sets up what is missing, then becomes `iqvae start`: in this process, so that Ctrl-C and the exit code are its own. */

try {
  await setup();
  await compileTypeScript();
  // In a terminal, `iqvae start` ends with the studio.
  if (process.stdin.isTTY && process.stdout.isTTY) await buildPage();
} catch (error) {
  console.error(`\n${error.message}`);
  process.exit(1);
}

const program = join(root, "packages/iqvae/bin/iqvae.mjs");
process.chdir(root);
process.argv.splice(1, 1, program, "start");
await import(pathToFileURL(program).href);
