import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { cpus } from "node:os";

/**
 * The instruction sets by which libtorch multiplies matrices of bfloat16, by the names that Linux gives them. Not `bf16` of ARM: older
 * versions of libtorch do not use it, and nothing was measured with newer ones.
 */
const BF16_FLAGS = ["avx512_bf16", "amx_bf16"] as const;

export interface Processor {
  readonly name: string;
  /** Those of its instruction sets that compute in bfloat16; empty when there are none or none can be told. */
  readonly bfloat16: readonly string[];
}

/** What Linux says of the processor, else Node.js: of ARM's, and on other systems, only that knows the name. */
export function processor(cpuinfo = "/proc/cpuinfo"): Processor {
  const text = existsSync(cpuinfo) ? readFileSync(cpuinfo, "utf8") : "";
  const field = (pattern: RegExp) => pattern.exec(text)?.[1]?.trim() ?? "";
  const flags = new Set(field(/^flags\s*:(.*)$/m).split(/\s+/));
  return {
    name: field(/^model name\s*:(.*)$/m) || cpus()[0]?.model.trim() || "unknown",
    bfloat16: BF16_FLAGS.filter((flag) => flags.has(flag)),
  };
}

const gpus = new Map<string, string>();

/**
 * What NVIDIA's driver calls a device, asked once; the device's own name where it does not say.
 *
 * @param device as `cuda` or `cuda:1`, counted among those that the process sees
 */
export function gpuName(device: string, command = "nvidia-smi"): string {
  if (!device.startsWith("cuda")) return device;
  let name = gpus.get(device);
  if (name === undefined) {
    const number = Number(device.split(":")[1] ?? 0);
    const visible = process.env.CUDA_VISIBLE_DEVICES?.split(",")[number] ?? String(number);
    const asked = ["--query-gpu=name", "--format=csv,noheader", "-i", visible];
    const { status, stdout } = spawnSync(command, asked, { encoding: "utf8", timeout: 10_000 });
    name = (status === 0 && stdout.trim().split("\n")[0]) || device;
    gpus.set(device, name);
  }
  return name;
}
