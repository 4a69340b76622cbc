import { spawn, spawnSync } from "node:child_process";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = fileURLToPath(new URL(".", import.meta.url));

/** Keeps a core busy as long as its parent lives: one that outlives a bench that was killed would spoil the next. */
const BUSY =
  "const { ppid } = process; for (let i = 0; ; i++) if (i % 1e6 === 0 && process.ppid !== ppid) process.exit();";

/**
 * The Python that runs the peers: the one that is named, else the first `python3` on the path or in `/usr/bin` that has PyTorch.
 *
 * @param {string | undefined} named
 * @returns {{ path: string, torch: string } | undefined}
 */
export function findPython(named) {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/bin"].filter((folder) => folder !== "");
  const candidates = named ? [named] : [...new Set(folders.map((folder) => join(folder, "python3")))];
  for (const path of candidates) {
    const { status, stdout } = spawnSync(path, ["-c", "import torch; print(torch.__version__)"], { encoding: "utf8" });
    if (status === 0) return { path, torch: stdout.trim() };
  }
  return undefined;
}

export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/**
 * Runs a bench script in a process of its own.
 *
 * @param {import("./benches.mjs").Command} command
 * @returns {Promise<Map<string, number>>} the median of each field over the JSON lines that the script printed
 * @throws Error with the script's last words when it fails or prints no figures
 */
export async function measure(command, { python, threads }) {
  const { script, flags = [], env = {}, busy = false } = command;
  const program = script.endsWith(".py") ? python : process.execPath;
  const args = [join(HERE, script), "--threads", String(threads), ...flags];
  const other = busy ? spawn(process.execPath, ["-e", BUSY], { stdio: "ignore" }) : undefined;
  const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let [output, complaints] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text) => {
    output += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    complaints += text;
  });
  const code = await new Promise((resolve, reject) => child.on("error", reject).on("close", resolve)).finally(() =>
    other?.kill(),
  );
  const lines = output.split("\n").filter((line) => line.startsWith("{"));
  if (code !== 0 || lines.length === 0)
    throw new Error(
      `${script} ${flags.join(" ")} ended with ${code} and ${lines.length} figures\n${complaints.trim().slice(-2000)}`,
    );
  const fields = new Map();
  for (const line of lines)
    for (const [name, value] of Object.entries(JSON.parse(line)))
      if (typeof value === "number") fields.set(name, [...(fields.get(name) ?? []), value]);
  return new Map([...fields].map(([name, all]) => [name, median(all)]));
}
