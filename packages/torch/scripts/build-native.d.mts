import type { Libtorch } from "./locate-libtorch.mjs";

export function selectionKey(env?: Record<string, string | undefined>): string;

export function buildNative(options?: {
  native?: string;
  build?: string;
  libtorch?: Libtorch;
}): Promise<{ addon: string; info: Libtorch; compiled: string[] }>;

export function generateTypes(addon: string, build?: string): Promise<boolean>;
