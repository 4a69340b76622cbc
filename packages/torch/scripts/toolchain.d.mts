export function findCompiler(env?: Record<string, string | undefined>): { command: string; version: string };
