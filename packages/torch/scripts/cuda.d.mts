import type { Libtorch } from "./locate-libtorch.mjs";

export declare const CUDA: string;
export declare const CUDA_CALLERS: readonly string[];
export function cudaBuild(libtorch: Libtorch, native: string): { flags: string[]; headers: string[] };
export function cudaCallerBuild(libtorch: Libtorch, native: string): { headers: string[] };
export function cudaHeaderFlags(
  libtorch: Pick<Libtorch, "includeDirs">,
  names: readonly string[],
): string[] | undefined;
