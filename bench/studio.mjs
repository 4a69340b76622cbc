import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { cpus, loadavg } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { findChromium } from "../scripts/chromium.mjs";

/*
 * The studio in Chromium, as `npm run studio` builds it: bytes of a first visit, the first frame after a stroke, pictures a second, and
 * how long the page was blocked at most.
 *
 *     npm run studio        # builds it; Ctrl-C
 *     node bench/studio.mjs [STROKES]
 */

const strokes = Number(process.argv[2] ?? 40);
const dist = fileURLToPath(new URL("../apps/studio/dist", import.meta.url));
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".json": "application/json" };

if (!existsSync(join(dist, "index.html"))) throw new Error("the page is not built; run npm run studio first");

/** Bytes that were sent, by path. */
const sent = new Map();
const server = createServer((request, response) => {
  const { pathname } = new URL(request.url, "http://localhost");
  const file = join(dist, pathname.endsWith("/") ? `${pathname}index.html` : pathname);
  if (!existsSync(file) || !statSync(file).isFile()) return response.writeHead(404).end();
  const { size, mtimeMs } = statSync(file);
  const etag = `"${size}-${mtimeMs}"`;
  if (request.headers["if-none-match"] === etag) return response.writeHead(304).end();
  sent.set(pathname, (sent.get(pathname) ?? 0) + size);
  response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream", etag });
  createReadStream(file).pipe(response);
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));

const sorted = (values) => [...values].sort((a, b) => a - b);
const quantile = (values, share) => sorted(values)[Math.min(values.length - 1, Math.floor(share * values.length))];
const median = (values) => quantile(values, 0.5);

const load = loadavg()[0].toFixed(1);
const browser = await chromium.launch({ executablePath: findChromium(), args: ["--no-sandbox"] });
const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
await page.addInitScript(() => {
  const seen = { ends: [], frames: [] };
  globalThis.seen = seen;
  addEventListener("pointerup", () => seen.ends.push(performance.now()), { capture: true });
  const { putImageData } = CanvasRenderingContext2D.prototype;
  CanvasRenderingContext2D.prototype.putImageData = function (...values) {
    putImageData.apply(this, values);
    if (this.canvas.classList.contains("picture")) seen.frames.push(performance.now());
  };
});
const drawn = () =>
  page.waitForFunction(() => {
    const cells = [...document.querySelectorAll(".cell")];
    return (
      cells.length > 0 &&
      cells.every((cell) => !cell.classList.contains("old") && cell.style.getPropertyValue("--share") === "1")
    );
  });

const started = performance.now();
await page.goto(`http://127.0.0.1:${server.address().port}/`);
await page.waitForFunction(() => globalThis.seen.frames.length > 0);
const firstPicture = performance.now() - started;
await page.waitForSelector("text=works offline");
await drawn();
const total = [...sent.values()].reduce((sum, bytes) => sum + bytes, 0);
const code = [...sent].filter(([path]) => !path.includes("/models/")).reduce((sum, [, bytes]) => sum + bytes, 0);

const { x, y, width } = await page.locator(".raster").boundingBox();
const at = (share) => [x + share * width, y + (0.3 + 0.4 * share) * width];
const rates = [];
await browser.startTracing(page, { categories: ["toplevel", "__metadata"] });
for (let i = 0; i < strokes; i++) {
  await page.mouse.move(...at(0.3 + (i % 8) * 0.02));
  await page.mouse.down();
  await page.mouse.move(...at(0.5 + (i % 5) * 0.04), { steps: 12 });
  await page.mouse.up();
  await drawn();
  rates.push(Number.parseFloat(await page.textContent("#rate")));
}
const { ends, frames } = await page.evaluate(() => globalThis.seen);
const waits = ends.map((end) => frames.find((frame) => frame > end) - end).filter((wait) => Number.isFinite(wait));

// Tasks of the page's own thread: how long each took by the clock, and of the processor, which others cannot lengthen.
const { traceEvents } = JSON.parse((await browser.stopTracing()).toString());
const main = traceEvents.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain");
const tasks = traceEvents.filter(
  ({ name, pid, tid }) =>
    name === "ThreadControllerImpl::RunTask" && main.some((each) => each.pid === pid && each.tid === tid),
);
const longest = (field) => Math.max(...tasks.map((task) => (task[field] ?? 0) / 1000));

console.log(`${cpus()[0].model}, load ${load} before; ${browser.version()}; ${strokes} strokes`);
console.table({
  "first visit, all bytes": `${(total / 1e6).toFixed(2)} MB`,
  "of these page, fonts and workers": `${(code / 1e6).toFixed(2)} MB`,
  "first visit to the first frame": `${firstPicture.toFixed(0)} ms`,
  "first frame after a stroke, median": `${median(waits).toFixed(0)} ms`,
  "the same, 95 %": `${quantile(waits, 0.95).toFixed(0)} ms`,
  "pictures a second, median": median(rates).toFixed(1),
  "longest task of the page, processor": `${longest("tdur").toFixed(0)} ms of ${tasks.length} tasks`,
  "the same, clock": `${longest("dur").toFixed(0)} ms`,
});
await browser.close();
server.close();
