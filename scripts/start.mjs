import { spawn } from "node:child_process";
import { constants } from "node:os";
import { compileTypeScript, setup } from "./setup.mjs";
import { root } from "./step.mjs";

try {
  await setup();
  await compileTypeScript();
} catch (error) {
  console.error(`\n${error.message}`);
  process.exit(1);
}

const program = ["packages/iqvae/bin/iqvae.mjs", "start", ...process.argv.slice(2)];
const child = spawn(process.execPath, program, { cwd: root, stdio: "inherit" });
// The terminal sends Ctrl-C to both; the program saves its work first, so this process waits for it.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => child.kill("SIGTERM"));
child.on("exit", (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
