export function findCompiler(env?: Record<string, string | undefined>): { command: string; version: string };
export declare const LANGUAGE_FLAGS: string[];
export declare function runCaptured(command: string, args: string[]): Promise<{ ok: boolean; output: string }>;
