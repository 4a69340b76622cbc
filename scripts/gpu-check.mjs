import { spawn } from "node:child_process";
import { createWriteStream, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { root } from "./step.mjs";

/*
 * What to run first on a machine with a GPU: `npm run gpu-check`, after `npm run setup` there.
 *
 *   --device <name>   cuda:0 by default; cpu tries the script out
 *   --out <file>      gpu-check.json by default, written anew after each part
 *   --parts <names>   some of kernels, training, group, speed
 *
 * Each part is a process of its own with its own limit of time: what fails or hangs does not stop the rest.
 */
const { values } = parseArgs({
  options: {
    device: { type: "string", default: "cuda:0" },
    out: { type: "string", default: "gpu-check.json" },
    parts: { type: "string", default: "kernels,training,group,speed" },
  },
});
const SECONDS = { kernels: 60, training: 120, group: 60, speed: 180 };

const parts = values.parts.split(",");
const unknown = parts.find((name) => !(name in SECONDS));
if (unknown !== undefined) {
  console.error(`There is no part '${unknown}': expected ${Object.keys(SECONDS).join(", ")}.`);
  process.exit(1);
}

const results = { device: values.device, parts: {} };
for (const name of parts) {
  const begin = performance.now();
  const part = await run(name);
  results.parts[name] = { ...part, seconds: Math.round((performance.now() - begin) / 100) / 10 };
  writeFileSync(values.out, `${JSON.stringify(results, null, 1)}\n`);
  tell(name, results.parts[name]);
}
const failed = Object.values(results.parts).some((part) => part.error || part.checks?.some(({ ok }) => !ok));
process.exitCode = failed ? 1 : 0;

/** The last line of a part is what it found. TF32 is off, so that float32 is what it is on the processor. */
function run(name) {
  return new Promise((done) => {
    const script = join(root, "bench", "gpu", `${name}.mjs`);
    const exact = name === "speed" ? {} : { NVIDIA_TF32_OVERRIDE: "0" };
    const child = spawn(process.execPath, [script, "--device", values.device], {
      env: { ...process.env, ...exact },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const log = createWriteStream(`${values.out}.${name}.log`);
    let [out, error] = ["", ""];
    child.stdout.on("data", (data) => {
      out += data;
      log.write(data);
    });
    child.stderr.on("data", (data) => {
      error += data;
      log.write(data);
    });
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill("SIGKILL");
    }, 1000 * SECONDS[name]);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      log.end();
      const lines = out.trim().split("\n");
      const notes = () => lines.map(parsed).filter(Boolean);
      if (code === 0) return done(parsed(lines.at(-1)) ?? { error: "it said nothing that can be read" });
      const why = late ? `it took more than ${SECONDS[name]} s` : `it ended with ${signal ?? code}`;
      done({ error: `${why}\n${error.slice(-2000)}`, figures: notes() });
    });
  });
}

function parsed(line) {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function tell(name, { checks = [], figures = [], error, seconds }) {
  console.log(`${name}, ${seconds} s${error ? `: ${error}` : ""}`);
  for (const each of checks) console.log(`  ${each.ok ? "passed" : "FAILED"} ${each.name} ${each.error ?? ""}`);
  for (const { name, ...rest } of figures)
    console.log(
      `  ${name}: ${Object.entries(rest)
        .map(([key, value]) => `${typeof value === "number" ? value.toPrecision(3) : value} ${key}`)
        .join(", ")}`,
    );
}
