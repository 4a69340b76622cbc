/** What `packages/use.mjs` says. */
export interface Used {
  readonly node: string;
  readonly version: string;
  readonly presets: number;
  readonly drawn: string;
  readonly sample: string;
  readonly served: { readonly png: string; readonly title: string | undefined; readonly code: number };
  /** What is said of a data set whose drawings come in other packages. */
  readonly scenes: string;
  readonly computed: string | readonly number[];
}
export function run(folder: string, command: string, ...args: string[]): string;
export function add(folder: string, ...packages: string[]): void;
export function install(folder: string, ...packages: string[]): void;
export function nodeOf(version: string, folder: string): string;
export function use(folder: string, node?: string, ...parts: readonly (keyof Used)[]): Used;
export function checkTypes(folder: string): void;
export function build(folder: string): string[];
export function pnpmOf(folder: string): string;
export function installByPnpm(folder: string, pnpm: string, tarballs: Record<string, string>): void;
export function buildByPnpm(folder: string, pnpm: string): string[];
export function runReadmes(folder: string, node: string, computes: boolean): Record<string, number>;
