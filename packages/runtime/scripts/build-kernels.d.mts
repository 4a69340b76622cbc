/** The text of `src/engines/kernels.ts`. */
export function kernelModule(): Promise<string>;
