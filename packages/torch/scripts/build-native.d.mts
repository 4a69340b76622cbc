import type { Libtorch } from "./locate-libtorch.mjs";

export function selectionKey(env?: Record<string, string | undefined>): string;

interface Built {
  library: string;
  info: Libtorch;
  compiled: string[];
}

export function buildNative(options?: {
  native?: string;
  build?: string;
  name?: string;
  libtorch?: Libtorch;
  compiler?: { command: string; version: string };
  flags?: string[];
}): Promise<Built>;

export function buildKernels(folder: string, libtorch?: Libtorch): Promise<Built>;

export function generateTypes(addon: string, build?: string): Promise<boolean>;
