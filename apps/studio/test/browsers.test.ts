import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import sharp from "sharp";
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import { openSite, type Site } from "./site.ts";
import { launch, Visit } from "./visit.ts";

/* What Firefox and WebKit do otherwise, played in Chromium. */

let site: Site;
let browser: Browser;
let visit: Visit;

beforeAll(async () => {
  [site, browser] = await Promise.all([openSite(["pose", "lines"]), launch()]);
});
afterAll(async () => {
  await browser?.close();
  await site?.close();
});
beforeEach(async () => {
  visit = await Visit.begin(browser);
  onTestFinished(async () => {
    expect(visit.errors).toEqual([]);
    await visit.close();
  });
});

test("a link is copied within the click: WebKit lets no page copy after it", async () => {
  await visit.open(site.url);
  const [during, link] = await visit.page.evaluate(async () => {
    const copied: ClipboardItem[][] = [];
    const write = async (items: ClipboardItem[]) => void copied.push(items);
    Object.defineProperty(navigator, "clipboard", { value: { write } });
    document.querySelector<HTMLElement>("[title='Copy a link']")!.click();
    const count = copied.length;
    return [count, await (await copied[0]?.[0]?.getType("text/plain"))?.text()] as const;
  });
  expect(during).toBe(1);
  await visit.page.waitForSelector("#announcer:text('The link is copied')", { state: "attached" });
  const work = await visit.work();
  await visit.page.goto("about:blank");
  await visit.open(link!);
  expect(await visit.work()).toEqual(work);
});

test("work is kept before a page is hidden: WebKit forgets what is put in a database after it", async () => {
  await visit.page.addInitScript(() =>
    addEventListener("pagehide", () => {
      IDBDatabase.prototype.transaction = () => {
        throw new DOMException("the page is going", "InvalidStateError");
      };
    }),
  );
  await visit.open(site.url);
  await visit.reloadWith(6);
  await visit.drawn();
  expect(await visit.page.inputValue("#seed")).toBe("6");
});

test("a stroke that leaves what is painted on marks no text", async () => {
  await visit.open(site.url);
  await visit.press("Redraw a part");
  await visit.stroke(".mask", [0.5, 0.5], [0.4, 1.2]);
  expect(await visit.page.evaluate(() => getSelection()!.toString())).toBe("");
});

/** Noise for what is on a canvas, as of a browser that resists fingerprinting. */
const withNoise = () =>
  visit.page.addInitScript(() => {
    const noise = (side: number) => Uint8ClampedArray.from({ length: 4 * side * side }, (_, i) => (i * 77) % 256);
    HTMLCanvasElement.prototype.toBlob = function (done) {
      const other = new OffscreenCanvas(this.width, this.height);
      other.getContext("2d");
      other.convertToBlob().then(done);
    };
    OffscreenCanvasRenderingContext2D.prototype.getImageData = (_x, _y, side) => new ImageData(noise(side), side);
  });

test("pictures are downloaded as they are where pages cannot read canvases", async () => {
  await withNoise();
  await visit.open(site.url);
  const { bytes } = await visit.download("Download this picture");
  const { data, info } = await sharp(bytes).raw().toBuffer({ resolveWithObject: true });
  expect([info.width, info.height, info.channels]).toEqual([32, 32, 3]);
  expect(new Uint8Array(data)).toEqual((await visit.pictures())[0]);
});

test("no sketch is made of noise", async () => {
  const folder = mkdtempSync(join(tmpdir(), "studio-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const photo = join(folder, "photo.png");
  writeFileSync(
    photo,
    await sharp({ create: { width: 8, height: 8, channels: 3, background: "#204080" } })
      .png()
      .toBuffer(),
  );
  await withNoise();
  await visit.open(site.url);
  await visit.choose("lines", 1);
  const before = await visit.work();
  await visit.page.setInputFiles("[aria-label='Make a sketch of a photo'][type=file]", photo);
  await visit.page.waitForSelector("#fault p, [aria-label=Undo][aria-disabled=false]");
  expect(await visit.page.textContent("#fault")).toContain("gives pages noise for a photo");
  expect(await visit.work()).toEqual(before);
});
