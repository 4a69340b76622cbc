import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildNative } from "../packages/torch/scripts/build-native.mjs";
import { findCompiler } from "../packages/torch/scripts/toolchain.mjs";
import { root } from "./step.mjs";

/*
 * Builds the native code with AddressSanitizer and UndefinedBehaviorSanitizer, beside the usual build, and runs its tests on it.
 * What these find ends the command with an error; leaks count where our code is among the callers, since Node.js and V8 have
 * their own. Arguments replace the list of tests. libtorch itself is not instrumented.
 */

const FLAGS = [
  ...["-fsanitize=address,undefined,float-cast-overflow", "-fno-omit-frame-pointer", "-g1", "-O1"],
  // Looks into objects of libtorch, whose type information is not all there.
  "-fno-sanitize=vptr",
];
/** The folder within build/, which the variable TORCH_BUILD names. */
const BUILD = "sanitized";
const OURS = /torch\.node|kernels\.so/;

/** Not those that build anew, or count what malloc and the process take: their numbers mean nothing here. */
const tests = (folder) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith(".test.ts") && !/^(setup|library|compilers|processes|tune)\./.test(name))
    .map((name) => join(folder, name));

/** The runtimes that have to be there before everything else; libstdc++ too, since Node.js hides its own from them. */
function runtimes({ command, args }) {
  return ["libasan.so", "libubsan.so", "libstdc++.so.6"].map((name) => {
    const path = spawnSync(command, [...args, `-print-file-name=${name}`], { encoding: "utf8" }).stdout.trim();
    if (!existsSync(path)) throw new Error(`${command} has no ${name}: name a GCC that has it by the variable CXX`);
    return path;
  });
}

/** The reports of AddressSanitizer that concern us: all errors, and leaks of ours. */
function findings(folder) {
  const texts = readdirSync(folder).map((name) => readFileSync(join(folder, name), "utf8"));
  return texts.flatMap((text) => {
    if (!text.includes("LeakSanitizer: detected memory leaks")) return [text];
    return text.split(/\n(?=(?:Direct|Indirect) leak of)/).filter((block) => OURS.test(block));
  });
}

async function main() {
  const compiler = findCompiler();
  const preload = runtimes(compiler).join(" ");
  const torch = join(root, "packages/torch");
  const iqvae = join(root, "packages/iqvae");
  for (const options of [
    { build: join(torch, "build", BUILD) },
    { native: join(iqvae, "native"), build: join(iqvae, "build", BUILD), name: "kernels.so" },
  ]) {
    const { library, compiled } = await buildNative({ ...options, compiler, flags: FLAGS });
    console.log(`${library}: ${compiled.length > 0 ? `compiled ${compiled.join(", ")}` : "up to date"}`);
  }
  const chosen = process.argv.slice(2);
  const files = chosen.length > 0 ? chosen : [...tests("packages/torch/test"), ...tests("packages/iqvae/test/native")];
  const logs = mkdtempSync(join(tmpdir(), "sanitized-"));
  try {
    const vitest = ["node_modules/vitest/vitest.mjs", "run", "--maxWorkers=1", "--testTimeout=1200000", ...files];
    const { status } = spawnSync(process.execPath, vitest, {
      cwd: root,
      stdio: "inherit",
      env: {
        ...process.env,
        TORCH_BUILD: BUILD,
        LD_PRELOAD: preload,
        // Leaks of others must not fail a process.
        ASAN_OPTIONS: `log_path=${join(logs, "report")}:detect_leaks=1:exitcode=0:quarantine_size_mb=64`,
        // Beside the other runtime its log_path has no effect: it reports among the output of the tests, and ends their process.
        UBSAN_OPTIONS: "print_stacktrace=1:halt_on_error=1",
      },
    });
    const found = findings(logs);
    for (const report of found) console.error(`\n${report.trim()}`);
    console.log(`\nsanitizers: ${found.length} found; tests: ${status === 0 ? "passed" : "failed"}`);
    return found.length === 0 && status === 0;
  } finally {
    rmSync(logs, { recursive: true, force: true });
  }
}

process.exitCode = (await main()) ? 0 : 1;
