export const PACKAGES: readonly string[];
export function packAll(to?: string): Record<string, string>;
