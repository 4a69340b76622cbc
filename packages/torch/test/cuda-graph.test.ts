import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";
import { cudaHeaderFlags } from "../scripts/cuda.mjs";
import { CudaGraph, cudaDeviceCount, cudaGraphsAreAvailable } from "../src/index.ts";

test.skipIf(cudaDeviceCount() > 0)("without CUDA there are no graphs, and the body does not run", () => {
  let runs = 0;
  const make = (): CudaGraph =>
    new CudaGraph("cuda", () => {
      runs += 1;
    });
  if (!cudaGraphsAreAvailable()) expect(make).toThrow(/built without CUDA graphs.*nvidia-cuda-crt.*npm run setup/s);
  else expect(make).toThrow();
  expect(runs).toBe(0);
});

test("a graph needs a CUDA device", () => {
  expect(() => new CudaGraph("cpu", () => {})).toThrow(/CUDA/);
});

test("CUDA's headers are found in the packages beside torch and in folders of their own, all of them or none", () => {
  const site = mkdtempSync(join(tmpdir(), "site-packages-"));
  const add = (path: string) => {
    mkdirSync(dirname(join(site, path)), { recursive: true });
    writeFileSync(join(site, path), "");
  };
  const beside = (...path: string[]) => join(site, "nvidia", ...path);
  const torch = { includeDirs: [join(site, "torch/include")] };
  for (const path of ["torch/include/own.h", "nvidia/here/include/a.h", "nvidia/there/include/cccl/nv/target"])
    add(path);
  expect(cudaHeaderFlags(torch, ["own.h", "a.h", "nv/target", "a.h"])).toEqual([
    ...["-isystem", beside("here/include")],
    ...["-isystem", beside("there/include/cccl")],
  ]);
  expect(cudaHeaderFlags(torch, ["a.h", "nowhere-at-all.h"])).toBeUndefined();
  rmSync(site, { recursive: true });
});
