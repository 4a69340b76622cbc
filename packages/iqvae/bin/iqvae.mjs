#!/usr/bin/env node
// What keeps the program itself from being loaded is no fault of it, so that a stack would tell nothing.
import("../dist/cli/main.js").catch((error) => {
  const advice = error.code === "EMFILE" ? " Allow more open files: ulimit -n 1024." : "";
  const message = `The program could not be loaded: ${error.message.replace(/\.$/, "")}.${advice}`;
  process.stderr.write(`${process.argv.includes("--debug") ? error.stack : message}\n`);
  process.exitCode = 1;
});
