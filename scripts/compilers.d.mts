export const COMPILERS: readonly string[];
export const ARM: { readonly compiler: string; readonly emulator: string };

export function tryLoops(name: "torch" | "iqvae", compiler: string, emulator?: string): Promise<string>;
