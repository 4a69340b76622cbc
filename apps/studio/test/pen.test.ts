import type { Browser, CDPSession } from "playwright-core";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { openSite, type Site } from "./site.ts";
import { launch, Visit } from "./visit.ts";

/* What paints: keys, a mouse, and a pen, as the browser tells of one: with its pressure, its other end, and a hand beside it. */

const SIZE = 32;
let site: Site;
let browser: Browser;
let visit: Visit;
let protocol: CDPSession;

beforeAll(async () => {
  [site, browser] = await Promise.all([openSite(["start"]), launch()]);
  visit = await Visit.begin(browser, { hasTouch: true });
  await visit.open(site.url);
  // What is painted is looked at, and what is drawn of it takes longest.
  await visit.page.fill("#samples", "1");
  await visit.drawn();
  protocol = await visit.page.context().newCDPSession(visit.page);
});
afterAll(async () => {
  await browser?.close();
  await site?.close();
});
beforeEach(async () => {
  await visit.press("Clear");
  await visit.press("Brush");
  await visit.page.fill("[aria-label='Brush size']", "4");
  await visit.ink("head");
});

/** Where a pixel of the map lies on the screen: its middle. */
async function placeOf(column: number, row: number): Promise<{ x: number; y: number }> {
  const { x, y, width } = (await visit.page.locator(".raster").boundingBox())!;
  return { x: x + ((column + 0.5) / SIZE) * width, y: y + ((row + 0.5) / SIZE) * width };
}

async function pen(
  type: "mousePressed" | "mouseMoved" | "mouseReleased",
  [column, row]: readonly [number, number],
  force = 0,
) {
  const down = type !== "mouseReleased";
  await protocol.send("Input.dispatchMouseEvent", {
    ...{ type, pointerType: "pen", force, ...(await placeOf(column, row)) },
    ...{ button: "left", buttons: down ? 1 : 0, clickCount: 1 },
  });
}

async function map(): Promise<Uint8Array> {
  await visit.drawn();
  return (await visit.work()).condition!;
}

/** Pixels of each row that are not the ground's. */
async function painted(): Promise<number[]> {
  const all = await map();
  return Array.from({ length: SIZE }, (_, row) => all.subarray(row * SIZE, (row + 1) * SIZE).filter(Boolean).length);
}

test("the bucket fills what hangs together, the eraser brings the ground back", async () => {
  await visit.ink("glasses");
  await visit.press("Fill");
  await visit.stroke(".raster", [0.5, 0.5]);
  expect(new Set(await map())).toEqual(new Set([11]));
  await visit.press("Eraser");
  await visit.stroke(".raster", [0.5, 0.5]);
  // Asks for a menu.
  await visit.page.click(".raster", { button: "right", position: { x: 20, y: 20 } });
  const erased = await map();
  expect(erased.filter((value) => value === 0)).toHaveLength(12);
  expect(erased[16 * SIZE + 16]).toBe(0);
});

test("keys paint where arrows went, and choose tools and classes", async () => {
  const raster = visit.page.locator(".raster");
  await visit.page.fill("[aria-label='Brush size']", "1");
  // Other tests leave the keys where they painted.
  const corner = [...Array(8).fill("Shift+ArrowUp"), ...Array(8).fill("Shift+ArrowLeft")];
  const first = ["3", "ArrowRight", "ArrowDown", "ArrowDown", "Space", "Shift+ArrowRight", "4", "Space"];
  // What was painted is erased, and another class takes the brush again.
  const others = ["ArrowRight", "Space", "e", "Space", "2", ...Array(8).fill("Shift+ArrowDown"), "Space"];
  for (const key of [...corner, ...first, ...others]) await raster.press(key);
  const painted = [...(await map()).entries()].filter(([, value]) => value > 0);
  expect(painted).toEqual([
    [2 * SIZE + 1, 2],
    [2 * SIZE + 5, 3],
    [31 * SIZE + 6, 1],
  ]);
  expect(await visit.page.textContent("#announcer")).not.toBe("");
});

test("a pen paints broader the harder it is pressed, and lines of a mouse are as broad as the brush", async () => {
  const broad: number[] = [];
  for (const force of [0.1, 0.5, 1]) {
    await visit.press("Clear");
    await pen("mousePressed", [8, 16], force);
    await pen("mouseMoved", [16, 16], force);
    await pen("mouseMoved", [24, 16], force);
    await pen("mouseReleased", [24, 16]);
    broad.push((await painted()).filter((pixels) => pixels > 12).length);
  }
  await visit.press("Clear");
  const [from, to] = [await placeOf(8, 16), await placeOf(24, 16)];
  await visit.page.mouse.move(from.x, from.y);
  await visit.page.mouse.down();
  await visit.page.mouse.move(to.x, to.y, { steps: 4 });
  await visit.page.mouse.up();
  broad.push((await painted()).filter((pixels) => pixels > 12).length);
  expect(broad).toEqual([2, 4, 6, 4]);
});

test("keys mean the same on German and Russian keyboards", async () => {
  const raster = visit.page.locator(".raster");
  await raster.dispatchEvent("keydown", { key: "]", code: "Digit9", ctrlKey: true, altKey: true });
  expect(await visit.page.inputValue("[aria-label='Brush size']")).toBe("5");
  await visit.stroke(".raster", [0.5, 0.5]);
  await raster.dispatchEvent("keydown", { key: "я", code: "KeyZ", ctrlKey: true });
  expect(await painted()).toEqual(Array(SIZE).fill(0));
});

test("samples that come at once are painted at once", async () => {
  const places = await Promise.all([8, 12, 16, 20, 24].map((column) => placeOf(column, 16)));
  const paints = await visit.page.locator(".raster").evaluate((canvas, [first, ...others]) => {
    canvas.setPointerCapture = () => {}; // nobody has pressed this one
    const { putImageData } = CanvasRenderingContext2D.prototype;
    let paints = 0;
    CanvasRenderingContext2D.prototype.putImageData = function (...args: unknown[]) {
      if (this.canvas === canvas) paints += 1;
      putImageData.apply(this, args as Parameters<typeof putImageData>);
    };
    const event = (type: string, { x, y }: { x: number; y: number }, coalescedEvents: PointerEvent[] = []) =>
      new PointerEvent(type, { pointerId: 77, clientX: x, clientY: y, bubbles: true, coalescedEvents });
    canvas.dispatchEvent(event("pointerdown", first!));
    paints = 0;
    const moves = others.map((place) => event("pointermove", place));
    canvas.dispatchEvent(event("pointermove", others.at(-1)!, moves));
    const counted = paints;
    canvas.dispatchEvent(event("pointerup", others.at(-1)!));
    CanvasRenderingContext2D.prototype.putImageData = putImageData;
    Reflect.deleteProperty(canvas, "setPointerCapture");
    return counted;
  }, places);
  expect((await painted())[16]).toBeGreaterThanOrEqual(17);
  expect(paints).toBe(1);
});

test("its other end erases, whatever the tool", async () => {
  await visit.press("Fill");
  await visit.stroke(".raster", [0.5, 0.5]);
  expect(await painted()).toEqual(Array(SIZE).fill(SIZE));
  const { x, y } = await placeOf(16, 16);
  await visit.page.locator(".raster").evaluate(
    (canvas, [clientX, clientY]) => {
      // Nobody has pressed this one, so it cannot be captured.
      canvas.setPointerCapture = () => {};
      const event = { pointerId: 77, pointerType: "pen", pressure: 0.5, clientX, clientY, bubbles: true };
      canvas.dispatchEvent(new PointerEvent("pointerdown", { ...event, button: 5, buttons: 32 }));
      canvas.dispatchEvent(new PointerEvent("pointerup", { ...event, button: 5, buttons: 0, pressure: 0 }));
      Reflect.deleteProperty(canvas, "setPointerCapture");
    },
    [x, y] as const,
  );
  expect(SIZE * SIZE - (await painted()).reduce((sum, pixels) => sum + pixels)).toBe(12);
});

test("a hand that lies beside it paints nothing", async () => {
  const touch = async (type: "touchStart" | "touchMove" | "touchEnd", [column, row]: readonly [number, number]) => {
    const touchPoints = type === "touchEnd" ? [] : [{ ...(await placeOf(column, row)), id: 5 }];
    await protocol.send("Input.dispatchTouchEvent", { type, touchPoints });
  };
  await pen("mousePressed", [8, 8], 0.5);
  await touch("touchStart", [20, 28]);
  await touch("touchMove", [24, 28]);
  await pen("mouseMoved", [16, 8], 0.5);
  await touch("touchEnd", [24, 28]);
  await pen("mouseMoved", [24, 8], 0.5);
  await pen("mouseReleased", [24, 8]);
  const rows = await painted();
  const some = [...rows.entries()].filter(([, pixels]) => pixels > 0);
  expect(some.map(([row]) => row)).toEqual([7, 8, 9, 10]);
  expect(Math.min(...some.map(([, pixels]) => pixels))).toBeGreaterThanOrEqual(17);
});
