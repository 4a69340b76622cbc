import { createHash } from "node:crypto";
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { availableParallelism } from "node:os";
import { basename, dirname, join, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { CUDA, CUDA_CALLERS, cudaBuild, cudaCallerBuild } from "./cuda.mjs";
import { DISTRIBUTED, distributedBuild } from "./distributed.mjs";
import { locateLibtorch } from "./locate-libtorch.mjs";
import { findCompiler, flagsFor, runCaptured } from "./toolchain.mjs";

/*
 * Builds the addon, and libraries of operators for `loadLibrary`:
 *
 *   node build-native.mjs [FOLDER…]   the addon; then FOLDER/native/*.cc → FOLDER/build for each
 *
 * Every libtorch has a folder of its own, so that several can stand side by side:
 *
 *   build/<version>-<hash of its place>/torch.node   the addon, or kernels.so
 *                                      /info.json    what it was built with
 *                                      /objects/     one object a source, named by the hash of all that went in
 *   build/current.json                               value of LIBTORCH ("" when unset) → library, relative to build/
 *
 * The loader looks up its own LIBTORCH in current.json. All files are written aside and renamed: builds that run at the
 * same time, and processes that have the library loaded, are not disturbed.
 */

const packageRoot = fileURLToPath(new URL("..", import.meta.url));
const ownSources = join(packageRoot, "native");
/** Whether this is an installed package, and not the one in its repository. */
const isInstalled = packageRoot.split(sep).includes("node_modules");
const TO_INSTALL =
  "Install one (Debian, Ubuntu: apt-get install libtorch-dev libopenblas0; elsewhere: npx @iqvae/torch setup)";
const hash = (...parts) => createHash("sha256").update(parts.join("\0")).digest("hex").slice(0, 12);

const OWN_FLAGS = {
  [DISTRIBUTED]: distributedBuild,
  [CUDA]: cudaBuild,
  ...Object.fromEntries(CUDA_CALLERS.map((name) => [name, cudaCallerBuild])),
};

/** Of one core, about; most of it is libtorch's headers. */
const SECONDS_A_FILE = 15;

/** The key of current.json for an environment. */
export const selectionKey = (env = process.env) => (env.LIBTORCH ? resolve(env.LIBTORCH) : "");

/**
 * Compiles what has changed, links, and records the library in current.json. Sources find the headers of the addon (`simd.h`).
 * @param {object} [options]
 * @param {string} [options.native] the folder of the sources
 * @param {string} [options.build] the folder to build in
 * @param {string} [options.name] the library's file name
 * @param {import("./locate-libtorch.mjs").Libtorch} [options.libtorch]
 * @param {{ command: string, args?: string[], version: string }} [options.compiler]
 * @param {string[]} [options.flags] more of them, for compiling and linking
 * @param {(seconds: number) => void} [options.takes] told about how long it will take, where there is anything to compile
 * @returns {Promise<{ library: string, info: object, compiled: string[] }>} `compiled` is empty when all was up to date
 * @throws {Error} no libtorch, no compiler, no sources, or the compiler's last words
 */
export async function buildNative({
  native = ownSources,
  build = join(packageRoot, "build"),
  name = "torch.node",
  libtorch = locateLibtorch(),
  compiler = findCompiler(),
  flags: more = [],
  takes = () => {},
} = {}) {
  if (!libtorch)
    throw new Error(
      `No libtorch was found. ${isInstalled ? TO_INSTALL : "Run `npm run setup`"}, or name one by the LIBTORCH variable.`,
    );
  const usual = flagsFor(libtorch);
  const flags = { compile: [...usual.compile, ...more], link: [...usual.link, ...more] };
  const folder = join(build, `${libtorch.version}-${hash(...libtorch.libDirs, ...libtorch.includeDirs)}`);
  const sources = sourcesIn(native);
  mkdirSync(join(folder, "objects"), { recursive: true });

  const headers = [...new Set([native, ownSources])].flatMap((folder) => named(folder, ".h"));
  const compile = [...flags.compile, `-I${ownSources}`];
  const { command, args = [], version } = compiler;
  const shared = hash(version, ...args, libtorch.version, ...compile, ...headers.map((header) => read(header)));
  const objects = sources.map((source) => {
    // What only one file needs must not have all others compiled anew.
    const { flags = [], headers = [] } = OWN_FLAGS[basename(source)]?.(libtorch, native) ?? {};
    const own = hash(
      shared,
      basename(source),
      ...withParts(source),
      ...flags,
      ...headers.map((header) => read(header)),
    );
    return { source, flags, object: join(folder, "objects", `${basename(source)}-${own}.o`) };
  });
  const missing = objects.filter(({ object }) => !existsSync(object));
  if (missing.length > 0) for (const each of [folder, join(folder, "objects")]) accessSync(each, constants.W_OK);
  if (missing.length > 0) takes((missing.length * SECONDS_A_FILE) / Math.min(missing.length, availableParallelism()));
  await inParallel(missing, ({ source, flags, object }) =>
    compileOne(command, [...args, ...compile, ...flags], source, object),
  );

  const library = join(folder, name);
  const info = { ...libtorch, compiler, flags, objects: objects.map(({ object }) => basename(object)) };
  const text = JSON.stringify(info, null, 2);
  const infoFile = join(folder, "info.json");
  if (!existsSync(library) || !existsSync(infoFile) || read(infoFile) !== text) {
    await link(compiler, info, objects, library);
    writeAside(infoFile, text);
    removeOld(join(folder, "objects"), info.objects);
  }
  select(build, library);
  return { library, info, compiled: missing.map(({ source }) => basename(source)) };
}

const named = (folder, ending) =>
  readdirSync(folder)
    .filter((file) => file.endsWith(ending))
    .sort()
    .map((file) => join(folder, file));

/** @throws {Error} where there are none */
function sourcesIn(native) {
  const sources = existsSync(native) ? named(native, ".cc") : [];
  if (sources.length === 0) throw new Error(`Expected C++ to build in ${native}/*.cc, but there is none.`);
  return sources;
}

/** A source and those that it includes, which are compiled as one. */
function withParts(source) {
  const text = read(source);
  const parts = [...text.matchAll(/^#include "(.+\.cc)"$/gm)];
  return [text, ...parts.flatMap(([, part]) => withParts(join(dirname(source), part)))];
}

async function compileOne(command, flags, source, object) {
  const aside = `${object}.${process.pid}`;
  const { ok, output } = await runCaptured(command, [...flags, "-c", source, "-o", aside]);
  if (!ok) throw new Error(explain(`Compiling ${source}`, command, output));
  if (output) console.warn(output);
  renameSync(aside, object);
}

async function link({ command, args = [] }, { flags }, objects, library) {
  const aside = `${library}.${process.pid}`;
  const inputs = objects.map(({ object }) => object);
  const { ok, output } = await runCaptured(command, [...args, "-o", aside, ...inputs, ...flags.link]);
  if (!ok) throw new Error(explain(`Linking ${library}`, command, output));
  renameSync(aside, library);
}

function explain(what, command, output) {
  const last = output.trimEnd().split("\n").slice(-40).join("\n");
  const advice = /c\+\+20|unrecognized|unknown argument|not supported/i.test(output)
    ? "The compiler seems too old for this libtorch: install GCC 11 or Clang 14 or newer and name it by CXX."
    : /Killed|out of memory|cannot allocate/i.test(output)
      ? "Memory ran out: about 2 GB are needed for each file that compiles."
      : "Name another compiler by CXX, or another libtorch by LIBTORCH, and try again.";
  return `${what} failed (${command}). Its last words:\n\n${last}\n\n${advice}`;
}

/** Builds the operators of `folder`/native into `folder`/build, for `loadLibrary`. @param options as of {@link buildNative} */
export function buildKernels(folder, options = {}) {
  return buildNative({
    native: join(folder, "native"),
    build: join(folder, "build"),
    name: "kernels.so",
    ...options,
  });
}

/** Records which library belongs to the present LIBTORCH. */
function select(build, library) {
  const file = join(build, "current.json");
  const current = existsSync(file) ? JSON.parse(read(file)) : {};
  const entry = library.slice(build.length + 1);
  if (current[selectionKey()] !== entry) {
    writeAside(file, `${JSON.stringify({ ...current, [selectionKey()]: entry }, null, 2)}\n`);
  }
}

/** Runs `work` on all items, as many at a time as there are cores; the first failure stops new ones. */
async function inParallel(items, work) {
  const queue = [...items];
  const worker = async () => {
    for (let item = queue.shift(); item; item = queue.shift()) {
      await work(item).catch((error) => {
        queue.length = 0;
        throw error;
      });
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
}

/** An hour is kept, for a build that runs beside this one. */
function removeOld(folder, keep) {
  for (const name of readdirSync(folder).filter((name) => !keep.includes(name))) {
    const file = join(folder, name);
    if (Date.now() - (statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()) > 3_600_000)
      rmSync(file, { force: true });
  }
}

function read(...path) {
  return readFileSync(join(...path), "utf8");
}

function writeAside(file, text) {
  writeFileSync(`${file}.${process.pid}`, text);
  renameSync(`${file}.${process.pid}`, file);
}

/** Runs generate-types.mjs when it or the addon is newer than its last run for this addon. */
export async function generateTypes(addon, build = join(packageRoot, "build")) {
  const script = fileURLToPath(new URL("generate-types.mjs", import.meta.url));
  if (!existsSync(script)) return false;
  const stampFile = join(build, "types-of.txt");
  const stamp = `${addon} ${statSync(addon).mtimeMs} ${hash(read(script))}`;
  if (existsSync(stampFile) && read(stampFile) === stamp && existsSync(join(packageRoot, "src", "generated")))
    return false;
  const { ok, output } = await runCaptured(process.execPath, [script, addon]);
  if (!ok)
    throw new Error(`Generating the operator types failed:\n\n${output.trimEnd().split("\n").slice(-40).join("\n")}`);
  writeAside(stampFile, stamp);
  return true;
}

/** Before what would be minutes of silence. */
function announce(seconds) {
  const long = seconds < 90 ? `${Math.ceil(seconds)} seconds` : `${Math.round(seconds / 60)} minutes`;
  console.log(`Compiling, which takes about ${long}, and longer beside other work.`);
}

function report({ library, info, compiled }, more = "") {
  const did = compiled.length > 0 ? `compiled ${compiled.join(", ")}` : "up to date";
  console.log(`${library}: ${did}${more} (libtorch ${info.version}, ${info.source})`);
}

/**
 * Builds the addon, the types of its operators, and the operators of packages; says what was done, or why it could not be.
 * @param {string[]} folders with `native`
 */
export async function buildCommand(folders) {
  try {
    const all = folders.map((folder) => resolve(folder));
    for (const folder of all) sourcesIn(join(folder, "native")); // before what takes minutes
    const addon = await buildNative({ takes: announce });
    const types = await generateTypes(addon.library);
    report(addon, types ? ", types generated" : "");
    for (const folder of all) report(await buildKernels(folder, { takes: announce }));
  } catch (error) {
    console.error(DENIED.has(error.code) ? whoMay(error) : error.message);
    process.exitCode = 1;
  }
}

const DENIED = new Set(["EACCES", "EPERM", "EROFS"]);

/** What to do about a folder that this user may not write to. */
function whoMay({ code, path }) {
  let folder = path;
  while (!existsSync(folder)) folder = dirname(folder);
  const { uid } = statSync(folder);
  const what =
    code === "EROFS"
      ? "it is on a read-only file system. Make it writable for the build"
      : `it belongs to ${uid === 0 ? "root" : `user ${uid}`}. Run the same command once as that user`;
  return `What is built belongs in ${path}, where this user may not write (${code}): ${what}, after which all can use it.`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildCommand(process.argv.slice(2));
