import { spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("..", import.meta.url));

/**
 * Does one step of the set-up and prints one line: its name, its time, and what `action` returns to say about it.
 * @param {string} name
 * @param {(takes: (time: string) => void) => Promise<string | undefined> | string | undefined} action calls `takes` once it knows that
 *   there is something to do that takes more than moments, such as with "about a minute"
 */
export async function step(name, action) {
  const start = performance.now();
  const terminal = process.stdout.isTTY;
  if (terminal) process.stdout.write(`  ${name} …`);
  const takes = (time) => process.stdout.write(terminal ? ` ${time}` : `  ${name}: ${time}\n`);
  const result = await Promise.resolve()
    .then(() => action(takes))
    .then(
      (note) => ({ note }),
      (error) => ({ error }),
    );
  const seconds = ((performance.now() - start) / 1000).toFixed(1).padStart(7);
  if (process.stdout.isTTY) process.stdout.write("\r\x1b[K");
  const mark = "error" in result ? "✗" : "✓";
  console.log(`${mark} ${name.padEnd(14)}${seconds} s  ${result.note ?? ""}`.trimEnd());
  if ("error" in result) throw result.error;
}

/** About so long, for people. */
export function duration(seconds) {
  if (seconds < 45) return `about ${Math.max(5, 5 * Math.round(seconds / 5))} seconds`;
  const minutes = Math.round(seconds / 60);
  return minutes <= 1 ? "about a minute" : `about ${minutes} minutes`;
}

/**
 * Runs a command without showing what it writes; that is kept in build/NAME.log.
 * @param {string} name of the log file
 * @param {string[]} command
 * @throws {Error} when it fails, with its last lines, the path of the log, and `advice`
 */
export async function quietly(name, [program, ...args], { advice = "", env = process.env } = {}) {
  const child = spawn(program, args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
  const chunks = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => chunks.push(chunk));
  const code = await new Promise((done) => {
    child.on("error", (error) => {
      chunks.push(Buffer.from(`${error.message}\n`));
      done(-1);
    });
    child.on("close", done);
  });
  const output = Buffer.concat(chunks).toString();
  const log = join(root, "build", `${name}.log`);
  mkdirSync(join(root, "build"), { recursive: true });
  writeFileSync(log, output);
  if (code === 0) return;
  const last = output.trimEnd().split("\n").slice(-40).join("\n");
  throw new Error(
    [`\`${[program, ...args].join(" ")}\` failed:`, last, `All of it: ${log}`, advice].filter(Boolean).join("\n\n"),
  );
}
