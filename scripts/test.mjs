import { spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ensureChromium } from "./chromium.mjs";
import { countTests, summary } from "./count.mjs";
import { setup } from "./setup.mjs";
import { root, step } from "./step.mjs";

/*
 * Sets up what is missing, then runs all checks: lint, types, tests. Arguments are handed to vitest. The last line says
 * "N passed, N failed"; lint and types count as one failed each when they fail.
 */

/** Runs a command of node_modules in sight of the user; resolves to its exit code. */
function run(name, script, ...args) {
  console.log(`\n${name}`);
  const child = spawn(process.execPath, [join("node_modules", script), ...args], { cwd: root, stdio: "inherit" });
  return new Promise((done) => {
    child.on("error", () => done(-1));
    child.on("close", (code) => done(code ?? -1));
  });
}

async function checks() {
  await setup();
  // Without one, the tests that need it fail, and the others tell what they have to tell.
  await step("Chromium", ensureChromium).catch(({ message }) => console.log(message));
  const tsc = "typescript/bin/tsc";
  const lint = await run("lint", "@biomejs/biome/bin/biome", "check", ".");
  const build = await run("types", tsc, "-b", "packages/torch", "packages/iqvae");
  const types =
    build ||
    (await run("types of the tests", tsc, "-p", "tsconfig.json")) ||
    (await run("types of the studio", tsc, "-p", "apps/studio"));

  const reportFile = join(root, "build", "test-report.json");
  rmSync(reportFile, { force: true });
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${reportFile}`];
  const code = await run("tests", "vitest/vitest.mjs", "run", ...reporters, ...process.argv.slice(2));
  const report = existsSync(reportFile) ? JSON.parse(readFileSync(reportFile, "utf8")) : undefined;
  const counts = countTests(report, code);
  return { ...counts, failed: counts.failed + Number(lint !== 0) + Number(types !== 0) };
}

const counts = await checks().catch((error) => {
  console.error(`\n${error.message}`);
  return { passed: 0, failed: 1, skipped: 0 };
});
process.exitCode = counts.failed === 0 ? 0 : 1;
console.log(`\n${summary(counts)}`);
