import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import sharp from "sharp";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { openSite, type Site } from "./site.ts";
import { launch, Visit } from "./visit.ts";

let site: Site;
let browser: Browser;
let visit: Visit;

beforeAll(async () => {
  [site, browser] = await Promise.all([openSite(["pose", "words"]), launch()]);
});
afterAll(async () => {
  await browser?.close();
  await site?.close();
});
beforeEach(async () => {
  visit = await Visit.begin(browser, { serviceWorkers: "block" });
});
afterEach(async () => {
  site.instead.clear();
  expect(visit.errors).toEqual([]);
  await visit.close();
});

const fault = (text: string) => visit.page.waitForSelector(`#fault :text(${JSON.stringify(text)})`);

test("draws without WebGPU, SharedArrayBuffer and a database", async () => {
  await visit.page.addInitScript(() => {
    Reflect.deleteProperty(Navigator.prototype, "gpu");
    indexedDB.open = () => {
      throw new DOMException("not here", "SecurityError");
    };
  });
  await visit.open(site.url);
  const has = await visit.page.evaluate(() => ["gpu" in navigator, "SharedArrayBuffer" in globalThis]);
  expect(has).toEqual([false, false]);
  expect(new Set((await visit.pictures()).map((picture) => picture.join())).size).toBe(8);
  expect(visit.page.workers()).toHaveLength(1);
});

test("work is kept again after the data of the site was cleared; a model that gets no bench leaves no worker", async () => {
  const { page } = visit;
  await visit.open(site.url);
  const protocol = await page.context().newCDPSession(page);
  const { origin } = new URL(site.url);
  await protocol.send("Storage.clearDataForOrigin", { origin, storageTypes: "indexeddb" });
  await visit.choose("words");
  await page.fill("#seed", "5");
  await page.press("#seed", "Enter");
  await visit.kept(5);
  await page.reload();
  await visit.drawn();
  expect([await page.textContent("#make-title"), await page.inputValue("#seed")]).toEqual(["Your words", "5"]);
  await page.evaluate(() => document.querySelector("#tools")!.remove());
  await page.click("[data-model=pose]");
  await fault('the page has no HTMLElement with the id "tools"');
  await expect.poll(() => page.workers().length, { timeout: 60_000 }).toBe(0);
});

test.each([
  ["is not there", 404, "", "models/models.json: the server answered 404"],
  ["is none", 200, "<html>", 'models/models.json: a list "models" is expected'],
  ["is empty", 200, '{"models": []}', "There is no model beside this page."],
])("a list of models that %s is named", async (_, status, body, message) => {
  site.instead.set("/models/models.json", (response) => response.writeHead(status).end(body));
  await visit.page.goto(site.url);
  await fault(message);
});

test("a model that is not there is named; another can be opened, and it again when it is back", async () => {
  site.instead.set("/models/pose/model.json", (response) => response.writeHead(404).end());
  await visit.page.goto(site.url);
  await fault('The model "pose" cannot be opened.');
  await visit.choose("words");
  expect(await visit.page.textContent("#fault")).toBe("");
  await visit.page.click("[data-model=pose]");
  await fault("the server answered 404");
  site.instead.clear();
  await visit.press("Try again");
  await visit.page.waitForSelector("main:not([inert])");
  await visit.drawn();
});

test("weights that are damaged or cut off are refused", async () => {
  const weights = readFileSync(join(site.models, "words", "model.safetensors"));
  const path = "/models/words/model.safetensors";
  await visit.open(site.url);
  site.instead.set(path, (response) => response.writeHead(200).end(weights.subarray(0, 1000)));
  await visit.page.click("[data-model=words]");
  await fault("it has 1000 bytes");
  const flipped = Uint8Array.from(weights);
  flipped[5000]! ^= 1;
  site.instead.set(path, (response) => response.writeHead(200).end(flipped));
  await visit.press("Try again");
  await fault("its SHA-256 is");
});

test("a model that still comes is left when another is chosen", async () => {
  await visit.open(site.url);
  site.instead.set("/models/words/model.json", () => "no answer");
  await visit.page.click("[data-model=words]");
  // It may be kept here, and then nothing is downloaded.
  expect(await visit.page.textContent("#loading [aria-hidden=true]")).toBe("Loading words");
  site.instead.delete("/models/words/model.json");
  site.instead.set("/models/words/model.safetensors", (response) => response.writeHead(200).write("begun"));
  await visit.page.click("[data-model=words]");
  await visit.page.waitForSelector("#loading :text('1 KB of')");
  // Numbers that change all the time are not told to those who hear the page.
  const said = await visit.page.locator("#loading").ariaSnapshot();
  expect(said).toContain("Loading words");
  expect(said).not.toContain("KB");
  await visit.choose("pose");
  expect(await visit.page.textContent("#loading")).toBe("");
  expect(await visit.page.textContent("#make-title")).toBe("Your pose");
});

test("a photo lies under what is made until it is taken away; files that are none, and folders that are no model, are named", async () => {
  await visit.open(site.url);
  const file = { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("no picture") };
  const photos = "[aria-label='Lay a photo under it'][type=file]";
  await visit.page.setInputFiles(photos, file);
  await fault("notes.txt is not a picture that this browser can read.");
  const background = { r: 32, g: 64, b: 128 };
  const buffer = await sharp({ create: { width: 8, height: 8, channels: 3, background } })
    .png()
    .toBuffer();
  await visit.page.setInputFiles(photos, { name: "photo.png", mimeType: "image/png", buffer });
  const under = visit.page.locator(".under");
  await under.waitFor();
  const middle = await under.evaluate((canvas) => [
    ...(canvas as HTMLCanvasElement).getContext("2d")!.getImageData(256, 256, 1, 1).data,
  ]);
  expect(middle).toEqual([32, 64, 128, 255]);
  await visit.page.click("button[aria-label='Lay a photo under it']");
  expect(await under.isHidden()).toBe(true);
  await visit.page.setInputFiles("[aria-label='Folder of a model']", join(site.models, "..", "assets"));
  await fault("There is no model.json among the");
});

test("words that were cleared stay so, and nothing of them is downloaded", async () => {
  await visit.open(site.url);
  await visit.choose("words");
  await visit.press("Clear");
  for (const button of ["Download what you made", "Download this picture"]) {
    await visit.page.evaluate(() => document.querySelector("#fault")!.replaceChildren());
    await visit.press(button);
    await fault("There is nothing to download yet");
  }
  await visit.choose("pose");
  await visit.page.click("[data-model=words]");
  await visit.page.waitForSelector("main:not([inert]) .words");
  expect(await visit.page.inputValue(".words")).toBe("");
});

test("words that were just typed do not follow when another model is chosen", async () => {
  await visit.open(site.url);
  await visit.choose("words");
  await visit.page.evaluate(() => {
    const area = document.querySelector<HTMLTextAreaElement>(".words")!;
    area.value = "a pear";
    area.dispatchEvent(new Event("input"));
    document.querySelector<HTMLElement>("[data-model=pose]")!.click();
  });
  await visit.page.waitForSelector("main:not([inert]) .pose");
  await visit.page.waitForTimeout(500); // longer than somebody who types pauses
  expect(await visit.page.textContent("#fault")).toBe("");
  await visit.choose("words");
  expect(await visit.page.inputValue(".words")).toBe("a pear");
});

test("a model from a disk is opened, and work on it stays while others are open", async () => {
  await visit.open(site.url);
  await visit.page.setInputFiles("[aria-label='Folder of a model']", join(site.models, "words"));
  await visit.page.waitForSelector("[data-model='picked:words'][aria-pressed=true]");
  await visit.page.waitForSelector("main:not([inert])");
  await visit.drawn();
  expect(await visit.page.inputValue(".words")).toBe("1 ripe pears");
  expect(await visit.page.textContent("#downloaded")).toMatch(/^\d+ KB from your disk$/);
  const tab = visit.page.locator("[data-model='picked:words']");
  expect(await tab.getAttribute("title")).toMatch(/KB from your disk$/);
  await visit.page.fill(".words", "two plums");
  await visit.page.press(".words", "Enter");
  await tab.click();
  await visit.drawn();
  expect(await visit.page.isDisabled("[aria-label=Undo]")).toBe(false);
  await visit.page.click("[data-model=pose]");
  await visit.drawn();
  // As after more of it was trained.
  await visit.page.setInputFiles("[aria-label='Folder of a model']", join(site.models, "words"));
  await visit.page.waitForSelector("[data-model='picked:words'][aria-pressed=true]");
  await visit.drawn();
  expect([await visit.page.inputValue(".words"), await tab.count()]).toEqual(["two plums", 1]);
});

test("a model whose weights found no room is not said to work offline", async () => {
  const assets = join(site.models, "..", "assets");
  const worker = readdirSync(assets).find((name) => name.startsWith("entry-"))!;
  const full = 'Cache.prototype.put = async () => { throw new DOMException("full", "QuotaExceededError"); };\n';
  site.instead.set(`/assets/${worker}`, (response) =>
    response.writeHead(200, { "content-type": "text/javascript" }).end(full + readFileSync(join(assets, worker))),
  );
  await visit.close();
  visit = await Visit.begin(browser);
  await visit.open(site.url);
  const card = "models/pose/README.md";
  const isKept = () => visit.page.evaluate(async (path) => (await caches.match(path)) !== undefined, card);
  await expect.poll(isKept, { timeout: 60_000 }).toBe(true);
  await visit.page.waitForTimeout(100);
  expect(await visit.page.textContent("#offline")).toBe("");
});
