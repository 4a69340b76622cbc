import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ImageGenerator } from "@iqvae/runtime";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { expect } from "vitest";
import { findChromium } from "../../../scripts/chromium.mjs";
import { readSettings } from "../src/drawing/settings.ts";
import { partOf } from "../src/drawing/source.ts";
import { type Kept, readWork } from "../src/keep/work.ts";

/** Ends what hangs: a machine may be slow, and others may use it. */
const PATIENCE = 180_000;

/** @throws Error where there is none, with what to do */
export async function launch(args: readonly string[] = []): Promise<Browser> {
  const executablePath = findChromium();
  if (executablePath === undefined)
    throw new Error("no Chromium was found: npm test installs one where it can, or name one by the variable CHROMIUM");
  return await chromium.launch({
    executablePath,
    // A sandbox needs what containers do not have; the pages are ours.
    args: ["--no-sandbox", ...args],
    // Or there are no downloads below a folder whose name is not ASCII, where the locale has no other letters.
    env: { ...process.env, LC_ALL: "C.UTF-8" },
    timeout: PATIENCE,
  });
}

/** Somebody who looks at the page with a browser that has never been there. */
export class Visit {
  readonly page: Page;
  /** What the page's scripts complained of. */
  readonly errors: string[] = [];

  constructor(page: Page) {
    this.page = page;
    page.setDefaultTimeout(PATIENCE);
    page.on("pageerror", ({ message }) => this.errors.push(message));
  }

  static async begin(browser: Browser, options: BrowserContextOptions = {}): Promise<Visit> {
    // Without transitions, whose colors are those of no state.
    const still = { reducedMotion: "reduce" } as const;
    const context = await browser.newContext({ viewport: { width: 1280, height: 1000 }, ...still, ...options });
    return new Visit(await context.newPage());
  }

  /** Opens the page, and waits for its pictures. */
  async open(url: string): Promise<void> {
    await this.page.goto(url);
    await this.drawn();
  }

  /** Opens another model, and asks for so many pictures. */
  async choose(model: string, samples = 2): Promise<void> {
    await this.page.click(`[data-model="${model}"]`);
    await this.page.waitForSelector(`[data-model="${model}"][aria-pressed="true"]`);
    await this.page.waitForSelector("main:not([inert])");
    await this.page.fill("#samples", String(samples));
    await this.drawn();
  }

  /** Waits until all pictures are drawn of what is there now. */
  async drawn(): Promise<void> {
    await this.page.waitForFunction(() => {
      const cells = [...document.querySelectorAll<HTMLElement>(".cell")];
      const done = (cell: HTMLElement) =>
        !cell.classList.contains("old") && cell.style.getPropertyValue("--share") === "1";
      return cells.length > 0 && cells.every(done) && document.querySelector("main:not([inert])") !== null;
    });
  }

  /** Goes along a way on an element with the button pressed, in shares of its sides. */
  async stroke(selector: string, ...way: readonly (readonly [number, number])[]): Promise<void> {
    const { x, y, width, height } = (await this.page.locator(selector).first().boundingBox())!;
    const { mouse } = this.page;
    for (const [i, [right, down]] of way.entries()) {
      await mouse.move(x + right * width, y + down * height, { steps: i === 0 ? 1 : 6 });
      if (i === 0) await mouse.down();
    }
    await mouse.up();
  }

  /** Chooses a class, by its name. */
  async ink(name: string): Promise<void> {
    await this.page.locator(".chip", { hasText: new RegExp(`^${name}$`) }).click();
  }

  async press(name: string): Promise<void> {
    await this.page.getByRole("button", { name, exact: true }).click();
  }

  /** RGB bytes of the pictures in the grid. */
  async pictures(): Promise<Uint8Array[]> {
    const all = await this.page.evaluate(() =>
      [...document.querySelectorAll<HTMLCanvasElement>(".cell canvas")].map((canvas) => {
        const { data } = canvas.getContext("2d")!.getImageData(0, 0, canvas.width, canvas.height);
        return [...data];
      }),
    );
    return all.map((rgba) => Uint8Array.from(rgba.filter((_, i) => i % 4 !== 3)));
  }

  /** What a button gives to download. */
  async download(name: string): Promise<{ name: string; bytes: Buffer }> {
    const [download] = await Promise.all([this.page.waitForEvent("download"), this.press(name)]);
    return { name: download.suggestedFilename(), bytes: readFileSync(await download.path()) };
  }

  /** All that the pictures follow from, as the page gives it. */
  async work(): Promise<Kept> {
    const { bytes } = await this.download("Settings as a file");
    return readWork(bytes.toString());
  }

  /** Waits until the browser has kept the work on a model with that seed: the page waits for more to keep. */
  async kept(seed: number): Promise<void> {
    const look = async (wanted: string) => {
      // To open one that is not there would make it.
      if (!(await indexedDB.databases()).some(({ name }) => name === "iqvae-studio")) return false;
      return await new Promise<boolean>((resolve) => {
        const opening = indexedDB.open("iqvae-studio");
        opening.onsuccess = () => {
          const all = opening.result.transaction("works").objectStore("works").getAll();
          all.onsuccess = () => {
            opening.result.close();
            resolve(all.result.some((work) => String(work).includes(wanted)));
          };
        };
      });
    };
    await expect.poll(() => this.page.evaluate(look, `"seed":${seed},`), { timeout: PATIENCE }).toBe(true);
  }

  /** Sets the seed, and reloads the page at once. */
  async reloadWith(seed: number): Promise<void> {
    const leave = this.page.evaluate((value) => {
      const input = document.querySelector<HTMLInputElement>("#seed")!;
      input.value = value;
      input.dispatchEvent(new Event("change"));
      location.reload();
    }, String(seed));
    await Promise.all([this.page.waitForEvent("load"), leave]);
  }

  async close(): Promise<void> {
    await this.page.context().close();
  }
}

/** The share of bytes that differ; by more than 1 none may. Not all processors and engines round alike. */
export function differing(a: readonly Uint8Array[], b: readonly Uint8Array[]): number {
  const [all, others] = [a, b].map((pictures) => pictures.flatMap((picture) => [...picture])) as [number[], number[]];
  if (all.length !== others.length) return 1;
  const apart = all.map((byte, i) => Math.abs(byte - others[i]!));
  return apart.some((difference) => difference > 1)
    ? 1
    : apart.filter((difference) => difference > 0).length / all.length;
}

const generators = new Map<string, Promise<ImageGenerator>>();

/** A model of the site, in Node. */
export function loaded(models: string, name: string): Promise<ImageGenerator> {
  const path = join(models, name);
  const generator = generators.get(path) ?? ImageGenerator.load(path);
  generators.set(path, generator);
  return generator;
}

/** What the runtime draws in Node for what the page says that it drew for. */
export async function expected(models: string, work: Kept): Promise<Uint8Array[]> {
  const generator = await loaded(models, work.model);
  const settings = readSettings(work.settings, generator.model);
  const pictures: Uint8Array[] = [];
  for (let place = 0; place < settings.samples; place++) {
    const [[picture] = []] = await generator.draw([work.condition!], partOf(work.source, settings, place));
    pictures.push(picture!);
  }
  return pictures;
}
