#!/usr/bin/env node
import { parseArgs } from "node:util";
import { buildCommand } from "../scripts/build-native.mjs";
import { locateLibtorch } from "../scripts/locate-libtorch.mjs";
import { installPrivately } from "../scripts/private-environment.mjs";
import { findCompiler } from "../scripts/toolchain.mjs";

const USAGE = `npx @iqvae/torch [setup] [--yes]   builds the addon for the libtorch of this machine; where there is none, offers to
                                   install PyTorch into a Python environment of its own, and says how large it is
npx @iqvae/torch build FOLDER…     builds operators from FOLDER/native/*.cc into FOLDER/build, for loadLibrary
npx @iqvae/torch setup FOLDER…     does both`;

/** @throws {Error} with what to do */
async function run() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { yes: { type: "boolean", short: "y" }, help: { type: "boolean", short: "h" } },
  });
  const [command = "setup", ...folders] = positionals;
  if (values.help) return console.log(USAGE);
  if (command === "build" && folders.length === 0) throw new Error(`'build' needs a folder:\n\n${USAGE}`);
  if (command === "build") return buildCommand(folders);
  if (command !== "setup") throw new Error(`'${positionals.join(" ")}' is not known. There are\n\n${USAGE}`);
  findCompiler(); // before anything is downloaded
  if (!locateLibtorch()) {
    console.log("No libtorch was found (Debian, Ubuntu, as root: apt-get install libtorch-dev libopenblas0).");
    if (!(await installPrivately({ yes: values.yes ?? false }))) throw new Error("Nothing was installed.");
  }
  return buildCommand(folders);
}

try {
  await run();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
