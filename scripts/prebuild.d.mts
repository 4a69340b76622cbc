export function prebuild(to?: string): Promise<string>;
