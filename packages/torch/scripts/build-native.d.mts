import type { Libtorch } from "./locate-libtorch.mjs";

export function selectionKey(env?: Record<string, string | undefined>): string;

interface Built {
  library: string;
  info: Libtorch;
  compiled: string[];
}

interface BuildOptions {
  native?: string;
  build?: string;
  name?: string;
  libtorch?: Libtorch;
  compiler?: { command: string; args?: string[]; version: string };
  flags?: string[];
  takes?: (seconds: number) => void;
}

export function buildNative(options?: BuildOptions): Promise<Built>;

export function buildKernels(folder: string, options?: BuildOptions): Promise<Built>;

export function generateTypes(addon: string, build?: string): Promise<boolean>;
