export const PACKAGES: readonly string[];
export const CODE: readonly string[];
export function withPrebuilt<T extends { readonly version: string }>(
  manifest: T,
  tarballs: readonly string[],
): T & { readonly optionalDependencies: Readonly<Record<string, string>> };
export function packAll(to?: string, prebuilt?: readonly string[]): Record<string, string>;
