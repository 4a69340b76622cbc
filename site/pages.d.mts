export const root: string;
export const SECTIONS: readonly { readonly title: string; readonly documents: Readonly<Record<string, string>> }[];
export function linksOf(text: string): { readonly target: string; readonly at: number; readonly picture: boolean }[];
export function slug(heading: string): string;
export function anchorsOf(text: string): Set<string>;
export function isLocal(target: string): boolean;
export function makePages(): { readonly pages: Map<string, string>; readonly files: Map<string, string> };
export function deadLinks(site: string, base?: string): { readonly pages: number; readonly dead: readonly string[] };
