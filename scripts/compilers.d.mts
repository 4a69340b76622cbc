export const COMPILERS: readonly string[];

export function tryLoops(name: "torch" | "iqvae", compiler: string): Promise<string>;
