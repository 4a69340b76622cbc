import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  resolve: {
    alias: {
      "@iqvae/torch": source("./packages/torch/src/index.ts"),
      "@iqvae/runtime": source("./packages/runtime/src/index.ts"),
      iqvae: source("./packages/iqvae/src/index.ts"),
    },
  },
  test: {
    setupFiles: ["packages/torch/test/setup-process.ts"],
    include: ["packages/*/test/**/*.test.ts", "apps/*/test/**/*.test.ts"],
    pool: "forks",
    maxWorkers: 2,
    // One thread each: workers that share the cores with two threads each wait for one another.
    env: { OMP_NUM_THREADS: "1", OPENBLAS_NUM_THREADS: "1" },
    // Only ends what hangs: a machine may be slow, and others may use it.
    testTimeout: 600_000,
    hookTimeout: 600_000,
  },
});
