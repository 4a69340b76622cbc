// `iqvae serve` under load, in processes of its own: many clients for a while, each again and again, of whom some read or send slowly, some hang
// up, and some send what means nothing. Fails when an answer is lost, wrong, or other than it must be, when anything is left in the queue
// afterward, when the server does not end by itself, and when its memory grows. One JSON line: counts, images a second, seconds to
// the whole answer of plain clients (p50, p95), memory of both kinds of process in MiB.
//
//     node bench/serve.mjs [--clients 64] [--seconds 60] [--model models/start]
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { request } from "node:http";
import { connect } from "node:net";
import { availableParallelism, loadavg } from "node:os";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { processor } from "../packages/iqvae/dist/support/processor.js";

const { values } = parseArgs({
  options: {
    clients: { type: "string", default: "64" },
    seconds: { type: "string", default: "60" },
    model: { type: "string", default: fileURLToPath(new URL("../models/start", import.meta.url)) },
  },
});
const [clients, seconds] = [Number(values.clients), Number(values.seconds)];
/** Of ten clients. */
const KINDS = [
  "plain",
  "plain",
  "plain",
  "plain",
  "plain",
  "slow reader",
  "slow sender",
  "hangs up",
  "hangs up",
  "malformed",
];
/** Memory may grow by this share and so many MiB from the second quarter of the time to the last: garbage is not collected on the hour. */
const GROWTH = { share: 0.15, more: 8 };
/** So long that only who is lost reaches it. */
const PATIENCE = 120_000;

const program = fileURLToPath(new URL("../packages/iqvae/bin/iqvae.mjs", import.meta.url));
const server = spawn(process.execPath, [program, "serve", values.model, "--port", "0", "--json"], {
  stdio: ["ignore", "pipe", "inherit"],
});
const ended = once(server, "exit");
const events = createInterface({ input: server.stdout })[Symbol.asyncIterator]();
const { value: line } = await events.next();
const { url, models, engines, processes } = JSON.parse(line ?? "{}");
if (url === undefined) throw new Error(`the server did not start: ${line}`);
const { hostname, port } = new URL(url);

/** How requests ended, by the kind of client and the end. */
const counts = {};
const count = (kind, end) => {
  counts[kind] ??= {};
  counts[kind][end] = (counts[kind][end] ?? 0) + 1;
};
const lost = [];
const waits = [];
let images = 0;

/** One request; resolves to status, headers and text, and rejects when the connection breaks. */
function ask(body, { accept = "application/json", pause = 0, pieces = 1, hangUpAfter } = {}) {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body), accept };
    const sent = request({ hostname, port, path: "/v1/images", method: "POST", headers, agent: false });
    sent.on("error", reject);
    sent.setTimeout(PATIENCE, () => sent.destroy(new Error("no answer came")));
    sent.on("response", async (response) => {
      let text = "";
      try {
        for await (const chunk of response.setEncoding("utf8")) {
          text += chunk;
          if (pause > 0) await sleep(pause);
        }
        resolve({ status: response.statusCode, headers: response.headers, text });
      } catch (error) {
        reject(error);
      }
    });
    if (hangUpAfter !== undefined) setTimeout(() => sent.destroy(new Error("hung up")), hangUpAfter);
    (async () => {
      const length = Math.ceil(body.length / pieces);
      for (let at = 0; at < body.length; at += length) {
        sent.write(body.slice(at, at + length));
        if (pieces > 1) await sleep(50);
      }
      sent.end();
    })().catch(reject);
  });
}

const random = (below) => Math.floor(Math.random() * below);
const example = (number) => ({ kind: "example", number });
const drawing = (samples) => ({ condition: example(random(4)), samples, seed: random(8) });
/** What the same request was answered by before: equal requests draw equal images. */
const before = new Map();

function check(asked, drawn) {
  const { samples, seed, condition } = asked;
  if (drawn.length !== samples) return `${drawn.length} images came for ${samples}`;
  for (const { sample, png } of drawn) {
    const key = `${condition.number} ${seed} ${sample}`;
    if ((before.get(key) ?? png) !== png) return `${key} was drawn as another image before`;
    before.set(key, png);
  }
  images += samples;
  return undefined;
}

/** Notes how a request for images ended; waits, when it was told to. */
async function note(kind, asked, { status, headers, text }, drawnOf) {
  if (status === 429 || status === 503) {
    count(kind, status === 429 ? "told to come back" : "not in time");
    const after = Number(headers["retry-after"]);
    if (!(after >= 1)) lost.push(`${kind}: ${status} without a time to come back`);
    // Sooner than told, so that the queue stays full.
    return await sleep(200);
  }
  const wrong = status === 200 ? check(asked, drawnOf(text)) : `${status} ${text.slice(0, 200)}`;
  if (wrong === undefined) return count(kind, "answered");
  count(kind, "lost");
  lost.push(`${kind}: ${wrong}`);
}

const ofJson = (text) => JSON.parse(text).images;
const eventsIn = (text) =>
  text
    .split("\n\n")
    .filter(Boolean)
    .map((block) => JSON.parse(block.slice(block.indexOf("data: ") + 6)));
const ofEvents = (text) => eventsIn(text).filter(({ event }) => event === "image");

const MALFORMED = [
  [400, '{"condition":'],
  [422, JSON.stringify({ condition: example(99) })],
  [422, JSON.stringify({ condition: { kind: "bytes", bytes: "AAAA" } })],
  [422, JSON.stringify({ condition: example(0), samples: 1e9 })],
  [413, JSON.stringify({ condition: { kind: "bytes", bytes: "A".repeat(2 ** 21) } })],
];

const BEHAVIOR = {
  async plain() {
    const asked = drawing(1 + random(3));
    const started = performance.now();
    const answer = await ask(JSON.stringify(asked));
    if (answer.status === 200) waits.push((performance.now() - started) / 1000);
    await note("plain", asked, answer, ofJson);
  },
  async "slow reader"() {
    const asked = { ...drawing(4), frames: true };
    const answer = await ask(JSON.stringify(asked), { accept: "text/event-stream", pause: 100 });
    const last = answer.status === 200 ? eventsIn(answer.text).at(-1) : undefined;
    // What a stream cannot say by its status any more it says by its last event.
    if (last?.event === "error") return count("slow reader", last.problem.status === 503 ? "not in time" : "lost");
    await note("slow reader", asked, answer, ofEvents);
  },
  async "slow sender"() {
    const asked = drawing(1);
    await note("slow sender", asked, await ask(JSON.stringify(asked), { pieces: 20 }), ofJson);
  },
  async "hangs up"() {
    const accept = random(2) === 0 ? "application/json" : "application/x-ndjson";
    try {
      const { status } = await ask(JSON.stringify(drawing(8)), { accept, hangUpAfter: random(600) });
      count("hangs up", status === 429 ? "told to come back" : "answered before");
    } catch {
      count("hangs up", "hung up");
    }
  },
  async malformed() {
    const choice = random(MALFORMED.length + 1);
    if (choice === MALFORMED.length) return await garbage();
    const [expected, body] = MALFORMED[choice];
    const { status } = await ask(body).catch((error) => {
      // The server may close the connection while what is too large is still being sent.
      if (expected === 413) return { status: 413 };
      throw error;
    });
    count("malformed", status === expected ? "refused" : "lost");
    if (status !== expected) lost.push(`malformed: ${status} for ${body.slice(0, 80)}, and not ${expected}`);
    await sleep(100);
  },
};

/** What is not HTTP. */
async function garbage() {
  const socket = connect(Number(port), hostname, () => socket.write("\x16\x03\x01 garbage\r\n\r\n"));
  let text = "";
  for await (const chunk of socket) text += chunk;
  const refused = text.startsWith("HTTP/1.1 400");
  count("malformed", refused ? "refused" : "lost");
  if (!refused) lost.push(`malformed: garbage was answered by ${text.slice(0, 80)}`);
  await sleep(100);
}

const figuresNow = async () => await (await fetch(`${url}metrics`)).text();
const figureIn = (figures, name) => Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, "m").exec(figures)?.[1] ?? 0);

/** MiB: what the process that answers has on its heap and beside it, and all of the processes that draw. */
async function memoryNow() {
  const figures = await figuresNow();
  const [heap, external] = ["heap_size_used", "external_memory"].map((name) =>
    figureIn(figures, `nodejs_${name}_bytes`),
  );
  const rows = execFileSync("ps", ["-A", "-o", "ppid=,rss="], { encoding: "utf8" }).trim().split("\n");
  const drawers = rows.map((row) => row.trim().split(/\s+/).map(Number)).filter(([parent]) => parent === server.pid);
  return {
    answers: (heap + external) / 2 ** 20,
    draws: drawers.reduce((sum, [, kilobytes]) => sum + kilobytes / 1024, 0),
  };
}

const until = performance.now() + 1000 * seconds;
const started = performance.now();
const sizes = [];
const watching = (async () => {
  while (performance.now() < until) {
    sizes.push(await memoryNow());
    await sleep(Math.min(1000, 50 * seconds));
  }
})();
await Promise.all(
  Array.from({ length: clients }, async (_, i) => {
    const kind = KINDS[i % KINDS.length];
    while (performance.now() < until) {
      try {
        await BEHAVIOR[kind]();
      } catch (error) {
        count(kind, "lost");
        lost.push(`${kind}: ${error.message}`);
        await sleep(100);
      }
    }
  }),
);
const took = (performance.now() - started) / 1000;
await watching;

// Whoever hung up must have left nothing behind.
let health;
for (let i = 0; i < 100; i++) {
  health = await (await fetch(`${url}healthz`)).json();
  if (health.waiting + health.drawing === 0) break;
  await sleep(100);
}
if (health.waiting + health.drawing > 0) lost.push(`left in the queue: ${JSON.stringify(health)}`);
const figures = await figuresNow();
const figure = (name) => figureIn(figures, name);
server.kill("SIGTERM");
const [code] = await ended;
if (code !== 0) lost.push(`the server ended with ${code}`);

const sorted = waits.sort((a, b) => a - b);
const percentile = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
const memoryOf = (part) => {
  const all = sizes.map((each) => each[part]);
  // The least of a quarter: what is left after garbage was collected.
  const quarter = (i) =>
    Math.min(...all.slice(Math.floor((i * all.length) / 4), Math.ceil(((i + 1) * all.length) / 4)));
  const [early, late] = [quarter(1), quarter(3)];
  // In a few seconds memory says nothing: heaps are still growing to their usual size.
  if (seconds >= 30 && late > early * (1 + GROWTH.share) + GROWTH.more)
    lost.push(`the memory of what ${part} grew from ${early.toFixed(0)} to ${late.toFixed(0)} MiB`);
  return { secondQuarter: round(early, 0), lastQuarter: round(late, 0), most: round(Math.max(...all), 0) };
};
const round = (value, digits) => Number(value?.toFixed(digits));
const memory = { answers: memoryOf("answers"), draws: memoryOf("draws") };
console.log(
  JSON.stringify({
    name: "serve",
    model: models[0],
    engine: engines[models[0]],
    processes,
    processor: `${processor().name}, ${availableParallelism()} threads`,
    load: round(loadavg()[0], 2),
    clients,
    seconds: round(took, 1),
    counts,
    lost: lost.length,
    "images/s": round(images / took, 1),
    drawnFor: round(figure("iqvae_drawing_seconds_total"), 1),
    imagesABatch: round(figure("iqvae_batch_images_sum") / figure("iqvae_batch_images_count"), 2),
    dropped: figure("iqvae_images_dropped_total"),
    p50: round(percentile(0.5), 2),
    p95: round(percentile(0.95), 2),
    memory,
  }),
);
for (const each of [...new Set(lost)].slice(0, 20)) console.error(`lost: ${each}`);
process.exitCode = lost.length === 0 ? 0 : 1;
