// Drawing tokens in Chromium: the engine of @iqvae/runtime beside ONNX Runtime's WebAssembly, in turn in one page, one thread each.
// Weights are of chance. One JSON line a case, in milliseconds: the mean time of the page's process, median and best round by the clock;
// and ratios to the faster of ONNX Runtime's two forms, above 1 where ours is faster.
//
//     node bench/runtime-browser.mjs [--repeats 9] [--only start-8]
import { createReadStream, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { loadavg, tmpdir } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";
import { findChromium } from "../scripts/chromium.mjs";
import { writeExported } from "./exported.mjs";
import { median } from "./measure.mjs";

const { values } = parseArgs({
  options: { repeats: { type: "string", default: "9" }, only: { type: "string", default: "" } },
});
/** In a round. */
const DRAWS = 4;
/** 64 tokens, the same with more layers, and 256 tokens. */
const MODELS = {
  start: { preset: "start" },
  large: { preset: "start", model: { layers: 8, width: 320, heads: 10 } },
  scenes: { preset: "scenes" },
};
/** Model, its folder, samples at once. */
const CASES = [
  ["start", "start-f16", 1],
  ["start", "start", 1],
  ["start", "start-int8", 1],
  ["start", "start-f16", 8],
  ["start", "start", 8],
  ["large", "large-f16", 1],
  ["large", "large", 1],
  ["large", "large-int8", 1],
  ["scenes", "scenes-f16", 1],
  ["scenes", "scenes", 1],
  ["scenes", "scenes-int8", 1],
];
const path = (relative) => fileURLToPath(new URL(relative, import.meta.url));

const models = mkdtempSync(join(tmpdir(), "bench-"));
const ROOTS = {
  models,
  runtime: path("../packages/runtime/dist"),
  onnxruntime: path("../node_modules/onnxruntime-web/dist"),
  pages: path("pages"),
};
const TYPES = { ".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm" };

const server = createServer((request, response) => {
  const [, root, ...rest] = request.url.split("/");
  if (root === "") {
    response.writeHead(200, { "content-type": "text/html" }).end("<script type=module src=/pages/browser.js></script>");
    return;
  }
  const file = join(ROOTS[root] ?? "", ...rest);
  if (ROOTS[root] === undefined || !existsSync(file)) response.writeHead(404).end();
  else {
    response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" });
    createReadStream(file).pipe(response);
  }
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const browser = await chromium.launch({ executablePath: findChromium(), args: ["--no-sandbox"] });
try {
  await run();
} finally {
  await browser.close();
  server.close();
  rmSync(models, { recursive: true });
}

async function run() {
  const cases = CASES.filter(([, folder, samples]) => `${folder}-${samples}`.startsWith(values.only));
  const parameters = {};
  // Of weights of 8 bits the other draws with those of 32.
  for (const folder of new Set(cases.flatMap((each) => each.slice(0, 2)))) {
    const [model, type = "f32"] = folder.split("-");
    mkdirSync(join(models, folder));
    parameters[model] = await writeExported(join(models, folder), { ...MODELS[model], type });
  }
  const page = await browser.newPage();
  page.setDefaultTimeout(180_000);
  page.on("pageerror", (error) => console.error(error));
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.waitForFunction(() => "releaseAll" in globalThis);
  const client = await browser.newBrowserCDPSession();
  console.error(`Chromium ${browser.version()}, load ${loadavg()[0].toFixed(2)}`);
  for (const [model, folder, samples] of cases) {
    const weights = folder.split("-")[1] ?? "f32";
    // It makes float32 of them when it loads them. Ours computes with halves as with float32, to the bit, but with bytes as such.
    const theirs = weights === "int8" ? model : folder;
    const contenders = [
      ["own", folder],
      ["step", theirs],
      ["merged", theirs],
    ];
    const known = [];
    for (const [engine, from] of contenders)
      known.push(await page.evaluate((all) => add(...all), [engine, `/models/${from}`, samples]));
    const times = contenders.map(() => []);
    for (let repeat = 1; repeat <= Number(values.repeats); repeat++)
      for (const [number, all] of times.entries()) {
        const before = await processorSeconds(client);
        const wall = await page.evaluate((given) => timed(...given), [number, samples, repeat, DRAWS]);
        all.push({ wall, cpu: ((await processorSeconds(client)) - before) / DRAWS });
      }
    await page.evaluate(() => releaseAll());
    const figures = Object.fromEntries(contenders.map(([engine], i) => [engine, figuresOf(times[i])]));
    const ratio = (what) => Math.min(figures.step[what], figures.merged[what]) / figures.own[what];
    const line = {
      model,
      parameters: parameters[model],
      weights,
      samples,
      engine: known[0].name,
      ...figures,
      ratio: ratio("cpu"),
      wallRatio: ratio("wall"),
      leastRatio: ratio("least"),
      equal: known.map(({ tokens }) => tokens === known[0].tokens),
    };
    console.log(JSON.stringify(rounded(line)));
  }
}

/** Seconds that the process of the page has run for; in steps of about 10 ms, so only sums of several rounds mean something. */
async function processorSeconds(client) {
  const { processInfo } = await client.send("SystemInfo.getProcessInfo");
  return Math.max(...processInfo.filter(({ type }) => type === "renderer").map(({ cpuTime }) => cpuTime));
}

/** The mean of the processor, median and best round of the clock. */
function figuresOf(times) {
  const walls = times.map(({ wall }) => wall);
  return {
    cpu: (1000 * times.reduce((sum, { cpu }) => sum + cpu, 0)) / times.length,
    wall: median(walls),
    least: Math.min(...walls),
  };
}

function rounded(figures) {
  return JSON.parse(JSON.stringify(figures, (_, x) => (typeof x === "number" ? Number(x.toFixed(2)) : x)));
}
