import { expect, test } from "vitest";
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
