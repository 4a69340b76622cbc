import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { gpuName, processor } from "../../src/support/processor.ts";

/** A file of the system, such as /proc/cpuinfo. */
function file(content: string): string {
  const folder = mkdtempSync(join(tmpdir(), "processor-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, "cpuinfo");
  writeFileSync(path, content);
  return path;
}

test("bfloat16 is taken from what the processor says of itself", () => {
  const intel = file("processor : 0\nmodel name\t: Some Xeon\nflags\t\t: fpu avx512f avx512_bf16 amx_bf16\n");
  expect(processor(intel)).toEqual({ name: "Some Xeon", bfloat16: ["avx512_bf16", "amx_bf16"] });
  expect(processor(file("model name : Old\nflags : fpu sse avx512_bf16x\n")).bfloat16).toEqual([]);
  // Where a container hides /proc/stat, Node.js knows of no processor.
  const byNode = { name: cpus()[0]?.model.trim() || "unknown", bfloat16: [] };
  expect(processor("/nowhere")).toEqual(byNode);
  expect(processor(file("CPU implementer : 0x41\nFeatures : fp asimd bf16\n"))).toEqual(byNode);
});

test("a GPU is called what NVIDIA's driver calls it", () => {
  const folder = mkdtempSync(join(tmpdir(), "gpu-"));
  const command = join(folder, "nvidia-smi");
  // The last argument is the number of the device.
  writeFileSync(command, '#!/bin/sh\nfor last; do :; done\n[ "$last" = 3 ] && echo "NVIDIA Some Card" || exit 9\n', {
    mode: 0o755,
  });
  expect(gpuName("cuda:3", command)).toBe("NVIDIA Some Card");
  expect(gpuName("cuda:1", command)).toBe("cuda:1");
  expect(gpuName("cuda:2", "/nowhere/nvidia-smi")).toBe("cuda:2");
  expect(gpuName("meta", command)).toBe("meta");
  rmSync(folder, { recursive: true });
});
