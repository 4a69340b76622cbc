import { createRequire } from "node:module";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MODEL_NAMES } from "./models.ts";
import { openSite, type Site } from "./site.ts";
import { launch, Visit } from "./visit.ts";

const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

interface Axe {
  run(): Promise<{ violations: { id: string; nodes: { target: string[] }[] }[] }>;
}

let site: Site;
let browser: Browser;

beforeAll(async () => {
  [site, browser] = await Promise.all([openSite(["start", ...MODEL_NAMES]), launch()]);
});
afterAll(async () => {
  await browser?.close();
  await site?.close();
});

/** What axe-core complains of, with where. */
async function complaints({ page }: Visit): Promise<string[]> {
  return await page.evaluate(async () => {
    const { violations } = await (globalThis as unknown as { axe: Axe }).axe.run();
    return violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id}: ${target.join(" ")}`));
  });
}

describe.each([
  ["light", 1280],
  ["dark", 320],
] as const)("in %s colors, %i pixels wide", (colorScheme, width) => {
  let visit: Visit;
  beforeAll(async () => {
    visit = await Visit.begin(browser, { colorScheme, viewport: { width, height: 800 } });
    await visit.open(site.url);
    await visit.page.addScriptTag({ path: axe });
  });
  afterAll(() => visit?.close());

  test.each(["start", ...MODEL_NAMES])("%s fits, and axe has nothing to say", async (model) => {
    await visit.choose(model, 1);
    expect(await visit.page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
    expect(await complaints(visit)).toEqual([]);
  });

  test("nor of the card, a fault, and redrawing", async () => {
    await visit.choose("start", 1);
    await visit.press("Model card and licenses");
    await visit.page.waitForSelector("dialog :text('Apache-2.0')");
    expect(await visit.page.textContent("dialog")).not.toContain("pipeline_tag");
    await visit.page.keyboard.press("n");
    expect(await visit.page.inputValue("#seed")).toBe("1");
    expect(await complaints(visit)).toEqual([]);
    await visit.press("Close");
    await visit.press("Redraw a part");
    const file = { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("no picture") };
    await visit.page.setInputFiles("[aria-label='Lay a photo under it'][type=file]", file);
    await visit.page.waitForSelector("#fault p");
    expect(await complaints(visit)).toEqual([]);
    expect(await visit.page.evaluate(() => document.documentElement.scrollWidth)).toBe(width);
  });
});

test("tabs of nine models are all in sight, whatever a screen's width", async () => {
  const kinds = ["semantic", "semantic", "semantic", "lines", "keypoints", "layout", "text", "text", "audio"];
  const models = kinds.map((kind, i) => ({ name: i === 0 ? "start" : `model-${i}-128`, kind, size: 32, bytes: i }));
  site.instead.set("/models/models.json", (response) => response.end(JSON.stringify({ models })));
  const visit = await Visit.begin(browser, { serviceWorkers: "block" });
  await visit.open(site.url);
  site.instead.clear();
  const { page } = visit;
  const tabs = page.locator("#models button");
  expect(await tabs.count()).toBe(9);
  for (const width of [700, 1280, 1920]) {
    await page.setViewportSize({ width, height: 800 });
    const cut = await page.locator("#models").evaluate((row) => row.scrollWidth > row.clientWidth);
    const right = await tabs.evaluateAll((all) => Math.max(...all.map((tab) => tab.getBoundingClientRect().right)));
    expect([cut, right <= width]).toEqual([false, true]);
  }
  await visit.close();
});

describe("the focus", () => {
  let visit: Visit;
  beforeAll(async () => {
    visit = await Visit.begin(browser);
    await visit.open(site.url);
  });
  afterAll(() => visit?.close());

  const press = (key: string) => visit.page.keyboard.press(key);
  const focused = () =>
    visit.page.evaluate(() => {
      const { ariaLabel, textContent } = document.activeElement!;
      return (ariaLabel ?? textContent).split(",")[0];
    });

  test("stays on a box that was drawn, clicked or moved, and goes to its neighbor when it is removed", async () => {
    await visit.choose("layout", 1);
    await visit.ink("rose");
    await visit.stroke(".plane", [0.6, 0.6], [0.9, 0.9]);
    expect(await focused()).toBe("rose");
    await visit.stroke(".plane", [0.2, 0.2]);
    expect(await focused()).toBe("pear");
    await press("ArrowRight");
    expect(await focused()).toBe("pear");
    await press("Delete");
    expect(await focused()).toBe("rose");
    await press("Control+z");
    expect(await focused()).toBe("pear");
    for (const left of [1, 0]) {
      await press("Delete");
      expect(await visit.page.locator(".box").count()).toBe(left);
    }
    expect(await focused()).toBe("Add a box");
    await visit.press("Add a box");
    await visit.press("Remove");
    expect(await focused()).toBe("Remove");
  });

  test("goes from a point that is hidden to the next that is not", async () => {
    await visit.choose("pose", 1);
    await visit.page.locator(".point").last().press("Delete");
    for (const next of ["head", "left hand", "right hand", "left foot", "Points that can be seen"]) {
      expect(await focused()).toBe(next);
      await press("Delete");
    }
  });

  test("stays on buttons that mean nothing more", async () => {
    for (const [button, other] of [
      ["Undo", "Redo"],
      ["Redo", "Undo"],
    ] as const) {
      for (let i = 0; i < 5; i++) await visit.press(button);
      expect(await focused()).toBe(button);
      expect(await visit.page.isDisabled(`[aria-label=${button}]`)).toBe(true);
      await press("Enter");
      expect(await visit.page.isDisabled(`[aria-label=${other}]`)).toBe(false);
    }
    await visit.press("More like this");
    expect(await focused()).toBe("More like this");
  });
});

test("a finger paints, and does not scroll", async () => {
  const visit = await Visit.begin(browser, { hasTouch: true, viewport: { width: 320, height: 640 } });
  await visit.open(site.url);
  const before = (await visit.work()).condition;
  // What the example shows most of is what one would go on painting.
  expect(await visit.page.isChecked(".chip:has-text('head') input")).toBe(true);
  await visit.page.locator(".raster").tap();
  await visit.drawn();
  expect((await visit.work()).condition).not.toEqual(before);
  expect(await visit.page.locator(".raster").evaluate((canvas) => getComputedStyle(canvas).touchAction)).toBe("none");
  await visit.close();
});

test("where the system sets the colors, what is chosen stands out, and classes keep theirs", async () => {
  const visit = await Visit.begin(browser, { forcedColors: "active" });
  await visit.open(site.url);
  const ground = (selector: string) =>
    visit.page.locator(selector).evaluateAll((all) => all.map((each) => getComputedStyle(each).backgroundColor));
  const chosen = await visit.page.evaluate(() => {
    const probe = document.createElement("p");
    probe.style.cssText = "forced-color-adjust: none; background: Highlight";
    document.body.append(probe);
    return getComputedStyle(probe).backgroundColor;
  });
  for (const all of ["#models button", ".tool-group .tool", ".chip:has([type=radio])"])
    expect((await ground(all)).filter((color) => color === chosen)).toHaveLength(1);
  expect(new Set(await ground(".swatch")).size).toBe((await ground(".swatch")).length);
  await visit.close();
});

test("light and dark can be chosen, whatever the system says", async () => {
  const visit = await Visit.begin(browser, { colorScheme: "light" });
  await visit.open(site.url);
  const ground = () => visit.page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await ground();
  await visit.press("Light or dark");
  const dark = await ground();
  expect(dark).not.toBe(light);
  await visit.page.reload();
  expect(await ground()).toBe(dark);
  await visit.page.evaluate(() => {
    Storage.prototype.setItem = () => {
      throw new DOMException("full", "QuotaExceededError");
    };
  });
  await visit.press("Light or dark");
  expect([await ground(), visit.errors]).toEqual([light, []]);
  await visit.close();
});
