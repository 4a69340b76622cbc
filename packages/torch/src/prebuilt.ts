import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { type Libtorch, locateLibtorch } from "../scripts/locate-libtorch.mjs";

/** A package of libraries that are built already, for one minor version of libtorch; `scripts/prebuild.mjs` of the repository makes it. */
interface Prebuilt {
  readonly folder: string;
  readonly libtorch: { readonly version: string; readonly cxx11Abi: boolean };
}

const require = createRequire(import.meta.url);
const SCOPE = "@iqvae";

/** `1.13` of `1.13.1`: within it, libtorch keeps its binary interface. */
const minorOf = (version: string) => version.split(".").slice(0, 2).join(".");

/** Those that are installed for this platform. */
function installed(): Prebuilt[] {
  const ending = `-${process.platform}-${process.arch}`;
  const scopes = (require.resolve.paths(SCOPE) ?? []).map((place) => join(place, SCOPE)).filter(existsSync);
  return scopes.flatMap((scope) =>
    readdirSync(scope)
      .filter((name) => name.startsWith("torch-") && name.endsWith(ending))
      .map((name) => {
        const folder = join(scope, name);
        const { libtorch } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Pick<
          Prebuilt,
          "libtorch"
        >;
        return { folder, libtorch };
      }),
  );
}

/** The one that fits the libtorch that is here, whose libraries are open from then on; else why there is none, as part of a sentence. */
let found: { readonly folder: string } | { readonly problem: string } | undefined;

/**
 * The path of a library that came prebuilt, and opens the libtorch that it needs.
 *
 * @returns else why there is none: `""` where no package of that kind is installed
 */
export function prebuiltLibrary(file: string): { readonly path: string } | { readonly problem: string } {
  found ??= find();
  return "folder" in found ? { path: join(found.folder, file) } : found;
}

function find(): NonNullable<typeof found> {
  const all = installed();
  // To look for libtorch takes a while.
  if (all.length === 0) return { problem: "" };
  const versions = all.map(({ libtorch }) => libtorch.version).join(" and ");
  const libtorch = locateLibtorch();
  if (libtorch === undefined) return { problem: `there is one for libtorch ${versions}, but no libtorch` };
  const fits = all.find(
    ({ libtorch: { version, cxx11Abi } }) =>
      version === minorOf(libtorch.version) && cxx11Abi === libtorch.cxx11Abi && !libtorch.cuda,
  );
  if (fits === undefined)
    return { problem: `there is one for libtorch ${versions}, but here is ${describe(libtorch)}` };
  open(libtorch, join(fits.folder, "preload.node"));
  return fits;
}

function describe({ version, cuda, cxx11Abi }: Libtorch): string {
  return `${version}${cuda ? " with CUDA" : ""}${cxx11Abi ? "" : " with the old C++ ABI"}`;
}

/** Opens the libraries of libtorch, its BLAS before them: a build on this machine would name their folders. */
function open({ rpath, libDirs: [libDir] }: Libtorch, preload: string): void {
  const { open } = require(preload) as { open(path: string): void };
  const blas = rpath
    .filter((folder) => folder !== libDir)
    .flatMap((folder) => ["libblas.so.3", "liblapack.so.3"].map((name) => join(folder, name)));
  const ending = process.platform === "darwin" ? "dylib" : "so";
  const own = ["c10", "torch_cpu", "torch"].map((name) => join(libDir!, `lib${name}.${ending}`));
  for (const path of [...blas, ...own]) if (existsSync(path)) open(path);
}
