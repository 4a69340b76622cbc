import { deflateRawSync } from "node:zlib";
import { type KeyPointSpec, parsePoints, pointBytes } from "@iqvae/runtime";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, beforeEach, expect, onTestFinished, test } from "vitest";
import { openSite, type Site } from "./site.ts";
import { differing, expected, launch, loaded, Visit } from "./visit.ts";

/** A folder of this name above the page is none of its own models. */
const PLACE = "/my/models/studio/";

let site: Site;
let browser: Browser;
let visit: Visit;

beforeAll(async () => {
  [site, browser] = await Promise.all([openSite(["pose", "words"], PLACE), launch()]);
});
afterAll(async () => {
  await browser?.close();
  await site?.close();
});

beforeEach(async () => {
  visit = await begin();
  site.sent.clear();
  site.instead.clear();
  await visit.open(site.url);
});

async function begin(): Promise<Visit> {
  const one = await Visit.begin(browser);
  onTestFinished(async () => {
    expect(one.errors).toEqual([]);
    await one.close();
  });
  return one;
}

const stroke = async (to: readonly [number, number]) => {
  const point = visit.page.locator(".point").first();
  const [x, y] = await point.evaluate(({ style }) =>
    [style.left, style.top].map((share) => Number.parseFloat(share) / 100),
  );
  await visit.stroke(".pose", [x!, y!], to);
  await visit.drawn();
};

test("undo and redo go stroke by stroke, by buttons and by keys", async () => {
  const state = async () => [(await visit.work()).condition, await visit.pictures()] as const;
  const first = await state();
  await stroke([0.3, 0.3]);
  const second = await state();
  await stroke([0.7, 0.4]);
  const third = await state();
  expect(third[0]).not.toEqual(second[0]);
  const after = async (act: () => Promise<void>) => {
    await act();
    await visit.drawn();
    return await state();
  };
  const { keyboard } = visit.page;
  expect(await after(() => visit.press("Undo"))).toEqual(second);
  expect(await after(() => keyboard.press("Meta+z"))).toEqual(first);
  expect(await visit.page.isDisabled("[aria-label=Undo]")).toBe(true);
  expect(await after(() => keyboard.press("Control+Shift+z"))).toEqual(second);
  expect(await after(() => keyboard.press("Control+y"))).toEqual(third);
  await visit.press("Undo");
  await stroke([0.5, 0.9]);
  expect(await visit.page.isDisabled("[aria-label=Redo]")).toBe(true);
});

test("a locked seed stays, an unlocked one changes with each stroke, another can be asked for", async () => {
  const seed = async () => (await visit.work()).settings.seed;
  expect(await seed()).toBe(1);
  await stroke([0.3, 0.3]);
  expect(await seed()).toBe(1);
  await visit.press("Keep the seed");
  await stroke([0.4, 0.3]);
  const another = await seed();
  expect(another).not.toBe(1);
  await visit.page.locator(".point").first().click(); // and moves nothing
  expect(await seed()).toBe(another);
  for (const ask of [() => visit.press("Another seed"), () => visit.page.keyboard.press("n")]) {
    const before = await seed();
    await ask();
    expect(await seed()).not.toBe(before);
  }
  const there = await visit.pictures();
  await visit.page.fill("#seed", "1");
  await visit.page.press("#seed", "Enter");
  await visit.drawn();
  expect(await visit.pictures()).not.toEqual(there);
  expect((await visit.work()).settings.seed).toBe(1);
  for (const none of ["1.5", "-2", ""]) {
    await visit.page.fill("#seed", none);
    await visit.page.press("#seed", "Enter");
    expect(await visit.page.inputValue("#seed")).toBe("1");
  }
});

test("a visit goes on where the last one ended", async () => {
  await stroke([0.3, 0.3]);
  await visit.press("Keep the seed");
  await visit.page.fill("#temperature", "0.7");
  await visit.drawn();
  const [work, pictures] = [await visit.work(), await visit.pictures()];
  await visit.open(site.url);
  expect(await visit.work()).toEqual(work);
  expect(work.settings).toMatchObject({ temperature: 0.7, locked: false });
  expect(await visit.pictures()).toEqual(pictures);
  await visit.reloadWith(6);
  await seedIs(visit, 6);
});

/** The seed, too, says which work it is. */
const seedIs = async (one: Visit, seed: number) => {
  await one.drawn();
  expect(await one.page.inputValue("#seed")).toBe(String(seed));
};
const reseed = async (one: Visit, seed: number) => {
  await one.page.fill("#seed", String(seed));
  await one.page.press("#seed", "Enter");
  await one.kept(seed);
};

test("a page on which nothing was changed leaves what another has kept since", async () => {
  const other = new Visit(await visit.page.context().newPage());
  await other.open(site.url);
  await reseed(visit, 7);
  for (const model of ["words", "pose"]) {
    await other.page.click(`[data-model=${model}]`);
    await other.drawn();
  }
  await seedIs(other, 7);
  // Of what was looked at alone, the next visit knows that it was the last.
  await other.page.click("[data-model=words]");
  await other.drawn();
  await other.open(site.url);
  expect(await other.page.getAttribute("[data-model=words]", "aria-pressed")).toBe("true");
});

test("a link gives another browser the same pictures, and takes no work from anybody; one that is cut off says so", async () => {
  await visit.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  await stroke([0.3, 0.3]);
  const [work, pictures] = [await visit.work(), await visit.pictures()];
  await visit.press("Copy a link");
  await visit.page.waitForSelector("#announcer:text('The link is copied')", { state: "attached" });
  const link = await visit.page.evaluate(() => navigator.clipboard.readText());
  await reseed(visit, 2);
  await visit.page.reload();
  await seedIs(visit, 2);
  const other = await begin();
  await other.open(site.url);
  await reseed(other, 3);
  await other.page.goto("about:blank");
  await other.open(link);
  expect(await other.work()).toEqual(work);
  expect(await other.pictures()).toEqual(pictures);
  await other.page.reload();
  await seedIs(other, 1);
  await other.page.waitForTimeout(400);
  await other.page.goto("about:blank");
  await other.open(site.url);
  await seedIs(other, 3);
  await other.page.goto(link.slice(0, -20));
  await other.page.waitForSelector("#fault :text('The link cannot be read')");
});

test("where there is no clipboard, the address has the link until the work is another", async () => {
  // As on a page without HTTPS.
  await visit.page.evaluate(() => Object.defineProperty(navigator, "clipboard", { value: undefined }));
  await reseed(visit, 2);
  await visit.press("Copy a link");
  await visit.page.waitForSelector("#fault :text('take the link from its address')");
  expect(await visit.page.evaluate(() => location.hash)).toMatch(/^#work=/);
  await reseed(visit, 4);
  await visit.page.reload();
  await seedIs(visit, 4);
});

test("a link to a place on the page opens nothing anew; one to other work does", async () => {
  await stroke([0.3, 0.3]);
  const work = await visit.work();
  const { page } = visit;
  await page.locator(".skip").press("Enter");
  expect(await page.evaluate(() => location.hash)).toBe("#surface");
  expect(await page.isDisabled("[aria-label=Undo]")).toBe(false);
  await page.evaluate(() => {
    location.hash = "#work=nonsense";
  });
  await page.waitForSelector("#fault :text('The link cannot be read')");
  expect(await visit.work()).toEqual(work);
});

test("the distance of pictures like one is changed by keys, one after the other", async () => {
  await visit.press("More like this");
  const slider = visit.page.getByRole("slider", { name: "Distance" });
  await slider.press("ArrowRight");
  await visit.page.keyboard.press("ArrowRight");
  await visit.drawn();
  const { source } = await visit.work();
  expect(source.kind === "like" && source.distance).toBeCloseTo(0.14, 5);
  await visit.press("All anew");
  expect(await visit.page.evaluate(() => document.activeElement?.textContent)).toBe("More like this");
});

test("what is not marked stays when a part is drawn anew", async () => {
  // A picture of which tokens are missing is none to keep a part of.
  const seen = await visit.page.evaluate(async () => {
    const button = (name: string) =>
      [...document.querySelectorAll("button")].find((one) => (one.ariaLabel ?? one.textContent) === name)!;
    const { style } = document.querySelector<HTMLElement>(".cell")!;
    const states: [share: number, can: boolean, shown: number][] = [];
    const cell = document.querySelector(".cell")!;
    const bar = getComputedStyle(cell, "::after");
    // How far the bar goes, which is seen until all is drawn.
    const shown = () => (bar.opacity === "1" ? Number.parseFloat(bar.scale) : 1);
    const look = () =>
      states.push([
        Number(style.getPropertyValue("--share")),
        button("Redraw a part").ariaDisabled !== "true",
        shown(),
      ]);
    const frames = new MutationObserver(look);
    frames.observe(cell, { attributeFilter: ["style"] });
    button("Another seed").click();
    const atOnce = button("Redraw a part").ariaDisabled === "true";
    while (states.at(-1)?.[0] !== 1) await new Promise((resolve) => setTimeout(resolve, 5));
    frames.disconnect();
    return { atOnce, states };
  });
  expect(seen.atOnce).toBe(true);
  expect(seen.states.length).toBeGreaterThan(1);
  for (const [share, can, shown] of seen.states) {
    expect(can).toBe(share === 1);
    expect(shown).toBeCloseTo(share, 3);
  }
  await visit.drawn();
  await visit.press("Redraw a part");
  await visit.stroke(".mask", [0.1, 0.1], [0.9, 0.1]);
  await visit.drawn();
  const work = await visit.work();
  if (work.source.kind !== "redraw") throw new Error(`the source is ${work.source.kind}`);
  const { fixed, base } = work.source;
  const marked = [...fixed.entries()].filter(([, token]) => token === -1).map(([i]) => i);
  expect(marked).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  expect(fixed.filter((token, i) => i > 7 && token !== base[i])).toHaveLength(0);
  expect(differing(await visit.pictures(), await expected(site.models, work))).toBeLessThan(0.01);
  const mask = visit.page.locator(".mask");
  // It goes no further than the picture.
  const [down, up] = [Array(9).fill("ArrowDown"), Array(6).fill("ArrowUp")];
  for (const key of ["ArrowLeft", ...down, ...up, "ArrowRight", "Space"]) await mask.press(key);
  const again = (await visit.work()).source;
  expect(again.kind === "redraw" && again.fixed[9]).toBe(-1);
  await visit.drawn();
  const pictures = await visit.pictures();
  await visit.press("All anew");
  await visit.drawn();
  expect(await visit.pictures()).not.toEqual(pictures);
  await visit.press("Undo");
  await visit.drawn();
  expect((await visit.work()).source).toEqual(again);
  expect(await visit.pictures()).toEqual(pictures);
  // By a key from the mask, whose place another one takes.
  await mask.press("Control+z");
  expect(await mask.evaluate((element) => element === document.activeElement)).toBe(true);
  expect((await visit.work()).source).toEqual(work.source);
});

test("a file of settings is opened again; what is none is named", async () => {
  await stroke([0.3, 0.3]);
  const [work, pictures] = [await visit.work(), await visit.pictures()];
  const { name, bytes } = await visit.download("Settings as a file");
  await visit.press("Undo");
  await reseed(visit, 5);
  await visit.drawn();
  const input = "[aria-label='Open such a file'][type=file]";
  await visit.page.focus("button[title='Open such a file']");
  await visit.page.setInputFiles(input, { name, mimeType: "application/json", buffer: bytes });
  await visit.page.waitForFunction(() => document.querySelector<HTMLInputElement>("#seed")?.value === "1");
  await visit.drawn();
  expect(await visit.page.evaluate(() => document.activeElement?.getAttribute("title"))).toBe("Open such a file");
  expect(await visit.work()).toEqual(work);
  expect(await visit.pictures()).toEqual(pictures);
  await visit.kept(1);
  await visit.page.setInputFiles(input, { name, mimeType: "application/json", buffer: Buffer.from('{"format": 7}') });
  await visit.page.waitForSelector("#fault :text('pose-settings.json cannot be read')");

  await stroke([0.6, 0.3]);
  const own = await visit.work();
  const changed = (change: object) => JSON.stringify({ ...JSON.parse(bytes.toString()), ...change });
  const ofAnotherSize = changed({ condition: Buffer.alloc(10).toString("base64") });
  for (const [file, fault] of [
    [changed({ model: "nowhere" }), "nowhere"],
    [changed({ condition: "{}" }), "its condition is not Base64"],
    [changed({ condition: 7 }), "its condition is not Base64"],
    [changed({ source: { kind: "like" } }), "drawn from is damaged"],
    [changed({ source: { kind: "redraw", fixed: [1], base: [1] } }), "the part to redraw is of another grid"],
    [ofAnotherSize, "another version of the model"],
  ] as const) {
    await visit.page.setInputFiles(input, { name, mimeType: "application/json", buffer: Buffer.from(file) });
    await visit.page.waitForSelector(`#fault :text('${fault}')`);
    expect([await visit.work(), await visit.page.isDisabled("[aria-label=Undo]")]).toEqual([own, false]);
  }
  const address = `${site.url}?view=mine`;
  const link = `${address}#work=${deflateRawSync(ofAnotherSize).toString("base64url")}`;
  await visit.page.goto("about:blank");
  await visit.open(link);
  await visit.page.waitForSelector("#fault :text('another version of the model')");
  expect([await visit.work(), visit.page.url()]).toEqual([own, address]);
});

test("pictures and conditions can be downloaded", async () => {
  const picture = await visit.download("Download this picture");
  expect(picture.name).toBe("pose-1.png");
  expect(picture.bytes.subarray(1, 4).toString()).toBe("PNG");
  const condition = await visit.download("Download what you made");
  expect(condition.name).toBe("pose-condition.json");
  // As iqvae sample --condition reads it.
  const spec = (await loaded(site.models, "pose")).model.condition as KeyPointSpec;
  const shape = { width: 32, height: 32 };
  const points = parsePoints(JSON.parse(condition.bytes.toString()), spec.points, condition.name, shape);
  expect(pointBytes(points, spec, shape)).toEqual((await visit.work()).condition);
});

test("a card, which may come from anywhere, leads to pages only, and is no page itself", async () => {
  await visit.press("Model card and licenses");
  const card = visit.page.locator("dialog .card-body");
  await card.getByText("Weights of chance").waitFor();
  const links = await card.locator("a").evaluateAll((all) => all.map((a) => [a.textContent, a.getAttribute("href")]));
  expect(links).toEqual([
    ["by others", "https://example.com/"],
    ["What it has from others", "licenses.txt"],
  ]);
  const text = await card.textContent();
  for (const shown of ["rounded to 8 bits", "Not", "with them"]) expect(text).toContain(shown);
  expect(text).not.toContain("license: mit");
});

test("who comes back without the cookie is let in by the token again, and told of it without one", async () => {
  const token = `${site.url}?token=secret`;
  site.instead.set("/", (response) =>
    response.req.url!.includes("secret")
      ? response.writeHead(303, { location: PLACE, "set-cookie": "token=secret; path=/" }).end()
      : undefined,
  );
  site.instead.set("/models/models.json", (response) =>
    response.req.headers.cookie === undefined ? response.writeHead(401).end() : undefined,
  );
  const { page } = visit;
  await visit.open(token);
  await page.waitForSelector("text=works offline");
  await page.context().clearCookies();
  await page.goto("about:blank");
  await visit.open(token);
  expect(page.url()).toBe(site.url);
  await page.context().clearCookies();
  await page.reload();
  await page.waitForSelector("#fault :text('open the page by the address that has it')");
});

test("a page of the last build goes on when a new one is there; the next visit has that", async () => {
  const { page } = visit;
  const script = () => page.evaluate(() => document.querySelector<HTMLScriptElement>("script[src]")!.src);
  await page.waitForSelector("text=works offline");
  const before = await script();
  site.rebuild();
  await visit.open(site.url);
  expect(await script()).toBe(before);
  const isThere = () =>
    page.evaluate(async () => {
      const { installing, waiting, active } = (await navigator.serviceWorker.getRegistration())!;
      const works = installing === null && waiting === null && active?.state === "activated";
      return works && (await caches.keys()).some((name) => name.includes("another"));
    });
  await expect.poll(isThere, { timeout: 60_000 }).toBe(true);
  await visit.choose("words");
  await visit.press("Model card and licenses");
  await page.waitForSelector("dialog :text('Weights of chance')");
  await visit.open(site.url);
  expect(await script()).not.toBe(before);
});

test("without a network the page, its last model and its work are there", async () => {
  await stroke([0.3, 0.3]);
  await visit.page.waitForSelector("text=works offline");
  // Once for the visit, and once to be kept: what the browser has of its own may be of an earlier build.
  expect(site.sent.get("/")).toBe(2 * site.sent.get("/index.html")!);
  await reseed(visit, 2);
  await visit.drawn();
  const [work, pictures] = [await visit.work(), await visit.pictures()];
  await site.stop();
  await visit.open(site.url);
  expect(await visit.work()).toEqual(work);
  expect(await visit.pictures()).toEqual(pictures);
  await visit.press("Model card and licenses");
  await visit.page.waitForSelector("dialog :text('Weights of chance')");
});
