import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, statfsSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline/promises";
import { runCaptured, runs } from "./toolchain.mjs";

/** Where PyTorch publishes builds without CUDA, which are a tenth as large; elsewhere than on Linux the usual ones are. */
const CPU_INDEX = "https://download.pytorch.org/whl/cpu";

/**
 * The folder of the Python environment that {@link installPrivately} makes, whether it is there or not.
 * @param {Record<string, string | undefined>} env
 * @returns {string | undefined} nothing where no home is known
 */
export function privateEnvironment(env = process.env) {
  const data = env.XDG_DATA_HOME || (env.HOME && join(env.HOME, ".local", "share"));
  return data ? join(data, "iqvae-torch", "python") : undefined;
}

/**
 * Offers to install PyTorch into an environment of its own, and does so if that is agreed to. What will be downloaded is said first.
 * @param {object} options
 * @param {boolean} options.yes agreed to beforehand
 * @param {string} [options.folder] of the environment
 * @param {string | null} [options.index] the package index; `null` for the one that is set up
 * @param {(question: string) => Promise<boolean>} [options.ask]
 * @returns {Promise<boolean>} whether it was installed
 * @throws {Error} where there is no Python for it, or no room, or with the last words of what failed; nothing is left behind then
 */
export async function installPrivately({
  yes,
  folder = privateEnvironment(),
  index = usualIndex(),
  ask = askInTerminal,
}) {
  if (folder === undefined) throw new Error("The home folder is not known: set HOME, or name a libtorch by LIBTORCH.");
  const make = maker();
  console.log(`PyTorch, which has libtorch, can be put into a Python environment of its own: ${folder}`);
  try {
    mkdirSync(dirname(folder), { recursive: true });
    await must(make.create(folder), `Making the environment with ${make.name}`);
    const python = join(folder, "bin", "python");
    let from = index;
    let packages = await downloads(python, from);
    if (packages.length === 0 && from !== null) {
      from = null; // where only the index that is set up can be reached
      packages = await downloads(python, from);
      console.log(`${index} cannot be reached, so this is the usual build of PyTorch; on Linux that has CUDA.`);
    }
    const free = freeBytes(folder);
    console.log(`${describe(packages)} Free there: ${gigabytes(free)}.`);
    const needed = ON_DISK * (totalOf(packages) ?? 0);
    if (needed > free)
      throw new Error(
        `PyTorch needs about ${gigabytes(needed)} there. Make room, set XDG_DATA_HOME to a folder of a larger disk, or name a libtorch by LIBTORCH.`,
      );
    if (!yes && !(await ask("Download and install it? [y/N] "))) {
      rmSync(folder, { recursive: true, force: true });
      return false;
    }
    await must(make.install(folder, from), "Installing PyTorch");
    return true;
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

const usualIndex = () =>
  process.platform === "linux" && !runs("nvidia-smi") && !process.env.PIP_INDEX_URL && !process.env.UV_INDEX_URL
    ? CPU_INDEX
    : null;

/** What makes environments here: uv, which is fast and brings a Python where there is none, or Python itself. */
function maker() {
  const from = (index) => (index === null ? [] : ["--index-url", index]);
  if (runs("uv"))
    return {
      name: "uv",
      create: (folder) => ["uv", ["venv", "--seed", folder]],
      install: (folder, index) => [
        "uv",
        ["pip", "install", "--python", join(folder, "bin", "python"), ...from(index), "torch"],
      ],
    };
  const { status } = spawnSync("python3", ["-c", "import venv, ensurepip"], { stdio: "ignore" });
  if (status === 0)
    return {
      name: "python3",
      create: (folder) => ["python3", ["-m", "venv", folder]],
      install: (folder, index) => [join(folder, "bin", "python"), ["-m", "pip", "install", ...from(index), "torch"]],
    };
  throw new Error(
    "PyTorch can be installed with uv or with a Python that has venv, but neither is here. Install one (Debian, Ubuntu: " +
      "apt-get install python3-venv), or name a libtorch by LIBTORCH.",
  );
}

async function must([command, args], what) {
  const { ok, output } = await runCaptured(command, args);
  if (!ok)
    throw new Error(
      `${what} failed (${command}). Its last words:\n\n${output.trimEnd().split("\n").slice(-20).join("\n")}`,
    );
}

/**
 * What pip would download for PyTorch, without downloading it.
 * @param {string} python
 * @param {string | null} index
 * @returns {Promise<{ name: string, version: string, bytes: number | undefined }[]>} empty where pip does not tell
 */
async function downloads(python, index) {
  const from = index === null ? [] : ["--index-url", index];
  const options = ["--dry-run", "--quiet", "--ignore-installed", "--only-binary", ":all:", "--report", "-"];
  const script = [
    // Older ones download whole packages to read what they need.
    "import pip, sys; sys.exit(0 if tuple(int(p) for p in pip.__version__.split('.')[:2]) >= (23, 2) else 3)",
  ];
  if (spawnSync(python, ["-c", ...script], { stdio: "ignore" }).status !== 0) return [];
  const { status, stdout } = spawnSync(python, ["-m", "pip", "install", ...options, ...from, "torch"], {
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  if (status !== 0) return [];
  const { install } = JSON.parse(stdout);
  return Promise.all(
    install.map(async ({ metadata: { name, version }, download_info: { url } }) => ({
      name,
      version,
      bytes: await sizeOf(url),
    })),
  );
}

async function sizeOf(url) {
  try {
    const { headers, ok } = await fetch(url, { method: "HEAD" });
    return ok && headers.has("content-length") ? Number(headers.get("content-length")) : undefined;
  } catch {
    return undefined;
  }
}

/** How many times the size of the download the installed packages have: 1.8 for PyTorch 2.15 with CUDA. */
const ON_DISK = 2;

/** The bytes to download, where all sizes are known. */
function totalOf(packages) {
  const known = packages.flatMap(({ bytes }) => bytes ?? []);
  return known.length < packages.length ? undefined : known.reduce((sum, bytes) => sum + bytes, 0);
}

function describe(packages) {
  const torch = packages.find(({ name }) => name === "torch");
  const total = totalOf(packages);
  if (torch === undefined || total === undefined)
    return "How large the download is could not be learned: PyTorch for the CPU has some hundred megabytes, with CUDA some gigabytes.";
  return (
    `PyTorch ${torch.version} and ${packages.length - 1} packages that it needs: ${gigabytes(total)} to download, ` +
    "and about twice as much on the disk."
  );
}

const gigabytes = (bytes) => (bytes < 1e9 ? `${Math.ceil(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`);

function freeBytes(folder) {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

/** Without a terminal nobody can agree: the command that does is named. */
async function askInTerminal(question) {
  if (!process.stdin.isTTY) {
    console.log("To agree without being asked, say --yes.");
    return false;
  }
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const answer = await terminal.question(question);
  terminal.close();
  return /^y(es)?$/i.test(answer.trim());
}

/** @param {string | undefined} folder @returns {boolean} whether an environment was made there */
export const hasPrivate = (folder) => folder !== undefined && existsSync(join(folder, "bin", "python"));
