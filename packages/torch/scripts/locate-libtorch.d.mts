/** A libtorch that can be built against. Paths are absolute. */
export interface Libtorch {
  source: "LIBTORCH" | "python" | "system" | "private";
  version: string;
  includeDirs: string[];
  libDirs: string[];
  libs: string[];
  cxx11Abi: boolean;
  cuda: boolean;
  rpath: string[];
}

export function locateLibtorch(env?: Record<string, string | undefined>, roots?: string[]): Libtorch | undefined;

export function blasFolder(libDir: string): string | undefined;
