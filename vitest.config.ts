import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

const root = fileURLToPath(new URL(".", import.meta.url));
const source = (path: string) => join(root, path);

const setup = "packages/torch/test/setup";
const include = ["packages/*/test/**/*.test.ts", "apps/*/test/**/*.test.ts"];

/**
 * A file that says one of these words gets a process of its own: it exchanges modules, changes what nobody can put back, or counts what
 * the garbage of others would blur. The others share one for each worker, and the modules in it: to start one, and to load libtorch and
 * the modules, takes longer than many files do.
 */
const OF_THE_PROCESS = /\bvi\.(mock|hoisted)|liveTensors|contract\.ts|memoryUsage|loadLibrary|initProcessGroup/;
const alone = ["packages", "apps"]
  .flatMap((folder) =>
    readdirSync(join(root, folder)).flatMap((name) => {
      const tests = join(folder, name, "test");
      if (!existsSync(join(root, tests))) return [];
      return readdirSync(join(root, tests), { recursive: true, encoding: "utf8" }).map((file) => join(tests, file));
    }),
  )
  .filter((file) => file.endsWith(".test.ts"))
  .filter((file) => OF_THE_PROCESS.test(readFileSync(join(root, file), "utf8")));

/** Files that take longest, which begin first, so that no worker is left with one at the end. */
const LONGEST = [
  "metrics/follow",
  "iqvae/test/packages",
  "cli/killed",
  "stage1/trainer",
  "cli/processes",
  "bench/scripts",
  "browser/chromium",
  "cli/serve",
  "runtime/test/onnx",
  "runtime/test/own",
  "cli/processes-killed",
  "stage2/trainer",
  "studio/test/keep",
  "plan/memory",
  "torch/test/distributed",
  "torch/test/compilers",
].map((name) => `/${name}.test.ts`);

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification) =>
      (LONGEST.findIndex((name) => moduleId.endsWith(name)) + LONGEST.length + 1) % (LONGEST.length + 1);
    return (await super.sort(files)).sort((a, b) => place(a) - place(b));
  }
}

export default defineConfig({
  resolve: {
    alias: {
      "@iqvae/torch": source("packages/torch/src/index.ts"),
      "@iqvae/runtime": source("packages/runtime/src/index.ts"),
      iqvae: source("packages/iqvae/src/index.ts"),
    },
  },
  test: {
    pool: "forks",
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
    // One thread each: workers that share the cores with two threads each wait for one another.
    env: { OMP_NUM_THREADS: "1", OPENBLAS_NUM_THREADS: "1" },
    // Only ends what hangs: a machine may be slow, and others may use it.
    testTimeout: 600_000,
    hookTimeout: 600_000,
    projects: [
      { extends: true, test: { name: "alone", include: alone, setupFiles: [`${setup}-alone.ts`] } },
      {
        extends: true,
        test: { name: "together", include, exclude: alone, isolate: false, setupFiles: [`${setup}-together.ts`] },
      },
    ],
  },
});
