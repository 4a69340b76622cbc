// Uses the installed packages as somebody does who has nothing else, or does of that what is named; runs in the folder that they were installed
// in. Prints one JSON line.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { ImageGenerator } from "@iqvae/runtime";
import { tensor } from "@iqvae/torch";
import { PRESET_NAMES } from "iqvae";

const MODEL = "node_modules/iqvae/models/start";
const PROGRAM = "node_modules/iqvae/bin/iqvae.mjs";
const hash = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** The program's output, or its complaint. */
function iqvae(...args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, ...args], { encoding: "utf8" });
  if (status !== 0) throw new Error(`iqvae ${args.join(" ")}: ${stderr}`);
  return stdout.trim();
}

async function drawn() {
  const generator = await ImageGenerator.load(MODEL);
  const [[pixels]] = await generator.draw(generator.examples.slice(0, 1), { seed: 1 });
  await generator.dispose();
  return hash(pixels);
}

/** A picture and the page from the server; with the code that it ends with. */
async function served() {
  const server = spawn(
    process.execPath,
    [PROGRAM, "serve", "--port", "0", "--processes", "1", "--timeout", "600", "--json"],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  const ended = once(server, "exit");
  try {
    const { value } = await createInterface({ input: server.stdout })[Symbol.asyncIterator]().next();
    const { url } = JSON.parse(value);
    const answer = await fetch(`${url}v1/images`, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "image/png" },
      body: JSON.stringify({ model: "start", condition: { kind: "example", number: 0 }, seed: 1 }),
    });
    const png = Buffer.from(await answer.arrayBuffer());
    if (!answer.ok) throw new Error(`the server answered ${png}`);
    const page = await (await fetch(url)).text();
    server.kill("SIGTERM");
    const [code] = await ended;
    return { png: png.subarray(1, 4).toString(), title: /<title>(.*?)<\/title>/.exec(page)?.[1], code };
  } finally {
    // A server that is left over would keep this process from ending.
    server.kill("SIGKILL");
  }
}

/** What is said of a data set whose drawings come in other packages. */
function scenes() {
  try {
    return iqvae("data", "scenes", "--size", "32", "--count", "20");
  } catch (error) {
    return error.message;
  }
}

/** What libtorch computes, or why there is none. */
function computed() {
  try {
    return [
      ...tensor([1, 2])
        .add(tensor([3, 4]))
        .read("float32"),
    ];
  } catch (error) {
    return error.message;
  }
}

/** The first letters of what the program draws. */
function sample() {
  iqvae("sample", MODEL, "--count", "2", "--out", "sample.png");
  return readFileSync("sample.png").subarray(1, 4).toString();
}

const PARTS = {
  node: () => process.versions.node,
  version: () => iqvae("--version"),
  presets: () => PRESET_NAMES.length,
  drawn,
  sample,
  served,
  scenes,
  computed,
};
const asked = process.argv.slice(2);
const result = {};
for (const part of asked.length > 0 ? asked : Object.keys(PARTS)) result[part] = await PARTS[part]();
console.log(JSON.stringify(result));
