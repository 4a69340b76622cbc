import { afterAll, vi } from "vitest";
import { getNumThreads, manualSeed, setDefaultDevice, setNumThreads, torchVersion, tuneProcess } from "../src/index.ts";
import "./equal-bytes.ts";
import "./seeds.ts";

// As programs do: without it malloc gives large blocks back after every step.
tuneProcess();
torchVersion();
// Or random numbers of a file would depend on the files before it, which are others in every run.
manualSeed(1);

// What a file changes of the process is as before when the next one begins.
const before = { threads: getNumThreads(), folder: process.cwd(), environment: { ...process.env } };
afterAll(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
  setNumThreads(before.threads);
  setDefaultDevice("cpu");
  process.chdir(before.folder);
  for (const name of Object.keys(process.env)) if (!(name in before.environment)) delete process.env[name];
  Object.assign(process.env, before.environment);
});
