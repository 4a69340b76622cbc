import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { colorEdges, logMel, readWav, textOf } from "@iqvae/runtime";
import type { Browser } from "playwright-core";
import sharp from "sharp";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { semantic } from "../../../packages/runtime/src/conditions/semantic.ts";
import { MODEL_NAMES } from "./models.ts";
import { openSite, type Site } from "./site.ts";
import { differing, expected, launch, loaded, Visit } from "./visit.ts";

let site: Site;
let browser: Browser;
let visit: Visit;
let folder: string;

beforeAll(async () => {
  // The microphone of a test beeps.
  const microphone = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"];
  [site, browser] = await Promise.all([openSite(["start", ...MODEL_NAMES]), launch(microphone)]);
  visit = await Visit.begin(browser);
  await visit.open(site.url);
  folder = mkdtempSync(join(tmpdir(), "studio-files-"));
});
afterAll(async () => {
  await browser?.close();
  await site?.close();
  rmSync(folder, { recursive: true, force: true });
});
afterEach(() => expect(visit.errors).toEqual([]));

/** The condition that the page draws for; its pictures are those that the runtime draws for it in Node. */
async function condition(): Promise<Uint8Array> {
  await visit.drawn();
  const work = await visit.work();
  expect(differing(await visit.pictures(), await expected(site.models, work))).toBeLessThan(0.01);
  return work.condition!;
}

describe("a map", () => {
  /** What stands out from the ground of a face's picture, which is even: its color is that of the upper corners. */
  const figureOf = (picture: Uint8Array, size: number) =>
    Uint8Array.from({ length: size * size }, (_, i) => {
      const apart = (corner: number) =>
        Math.hypot(...[0, 1, 2].map((c) => picture[3 * i + c]! - picture[3 * corner + c]!));
      return Number(Math.min(apart(0), apart(size - 1)) > 40);
    });

  test("pictures follow what the mouse painted", async () => {
    // Of eight pictures the mean agreement is 0.73 to 0.81, as chance would have it.
    await visit.choose("start", 24);
    await visit.press("Clear");
    await visit.page.fill("[aria-label='Brush size']", "10");
    await visit.ink("jersey");
    await visit.stroke(".raster", [0.12, 0.95], [0.9, 0.95]);
    await visit.ink("head");
    await visit.stroke(".raster", [0.45, 0.35], [0.45, 0.7], [0.58, 0.7], [0.58, 0.35], [0.5, 0.5]);
    await visit.page.fill("[aria-label='Brush size']", "6");
    await visit.ink("hair");
    await visit.stroke(".raster", [0.3, 0.3], [0.36, 0.18], [0.66, 0.18], [0.72, 0.3]);
    const map = await condition();
    const { model } = await loaded(site.models, "start");
    const classes = model.condition.kind === "semantic" ? model.condition.classes : [];
    expect(semantic(classes, 32).describe(map)).toBe("background, jersey, head, hair");
    const painted = map.map((value) => Number(value > 0));
    const { fidelity } = semantic(classes.slice(0, 2), 32);
    const agreement = (figure: Uint8Array) =>
      pictures.map((picture) => fidelity(figure, figureOf(picture, 32)).mapIou!).reduce((a, b) => a + b) /
      pictures.length;
    const pictures = await visit.pictures();
    // Upside down the same figure covers about as much.
    expect(agreement(painted)).toBeGreaterThan(0.75);
    expect(agreement(painted.toReversed())).toBeLessThan(0.6);
  });

  test("pictures like one are near it, the first is that one", async () => {
    await visit.choose("start", 6);
    await visit.page.locator(".example").first().click();
    await visit.drawn();
    const fresh = await visit.pictures();
    const second = fresh[1]!;
    await visit.page.click(".cell:nth-child(2)");
    await visit.press("More like this");
    await visit.drawn();
    const near = await visit.pictures();
    expect(near[0]).toEqual(second);
    const apart = (picture: Uint8Array) => picture.reduce((sum, byte, i) => sum + Math.abs(byte - second[i]!), 0);
    const others = (pictures: Uint8Array[]) => pictures.map(apart).reduce((a, b) => a + b);
    expect(new Set(near.map((picture) => picture.join())).size).toBe(6);
    expect(others(near)).toBeLessThan(0.75 * others(fresh));
    expect(differing(near, await expected(site.models, await visit.work()))).toBeLessThan(0.01);
    await visit.press("All anew");
    await visit.drawn();
    expect((await visit.pictures())[1]).toEqual(second);
    // Where there are fewer, one that is left is in focus.
    await visit.page.click(".cell:last-child");
    await visit.page.fill("#samples", "1");
    expect(await visit.page.getAttribute(".picture", "aria-label")).toBe("Picture 1, large");
  });
});

test("lines are sketched", async () => {
  await visit.choose("lines");
  await visit.press("Clear");
  await visit.stroke(".raster", [0.1, 0.505], [0.9, 0.505]);
  const { size } = (await loaded(site.models, "lines")).model;
  const sketch = await condition();
  const row = Math.floor(0.505 * size);
  const ink = [...sketch.entries()].filter(([, value]) => value === 1).map(([i]) => i);
  const [first, last] = [Math.floor(0.1 * size), Math.floor(0.9 * size)];
  expect(ink).toEqual(Array.from({ length: last - first + 1 }, (_, i) => row * size + first + i));
  const { name, bytes } = await visit.download("Download what you made");
  expect(name).toBe("lines-condition.png");
  const { data, info } = await sharp(bytes).extractChannel(0).raw().toBuffer({ resolveWithObject: true });
  expect([info.width, info.height]).toEqual([size, size]);
  expect(Uint8Array.from(data, (level) => Number(level < 128))).toEqual(sketch);
});

test("a photo becomes a sketch by the program's own edges", async () => {
  await visit.choose("edges");
  const { size } = (await loaded(site.models, "edges")).model;
  const photo = await visit.page.evaluate(async (side) => {
    // Of a broad photo the middle is taken.
    const canvas = new OffscreenCanvas(2 * side, side);
    const context = canvas.getContext("2d")!;
    context.fillRect(0, 0, 2 * side, side);
    context.fillStyle = "#204080";
    context.fillRect(side / 2, 0, side, side);
    context.fillStyle = "#f0c040";
    context.fillRect((3 * side) / 4, side / 4, side / 2, side / 2);
    return [...new Uint8Array(await (await canvas.convertToBlob()).arrayBuffer())];
  }, size);
  const file = join(folder, "photo.png");
  writeFileSync(file, Uint8Array.from(photo));
  const before = (await visit.work()).condition;
  await visit.page.setInputFiles("[aria-label='Make a sketch of a photo'][type=file]", file);
  await visit.page.waitForSelector("[aria-label=Undo][aria-disabled=false]");
  const sketch = await condition();
  expect(sketch).not.toEqual(before);
  const inside = (i: number) => i >= size / 4 && i < (3 * size) / 4;
  const rgb = Uint8Array.from({ length: size * size * 3 }, (_, i) => {
    const [pixel, channel] = [Math.floor(i / 3), i % 3];
    const yellow = inside(pixel % size) && inside(Math.floor(pixel / size));
    return (yellow ? [0xf0, 0xc0, 0x40] : [0x20, 0x40, 0x80])[channel]!;
  });
  expect(sketch).toEqual(colorEdges(rgb, size));
});

test("key points are dragged, moved by keys, hidden and shown", async () => {
  await visit.choose("pose");
  const first = await condition();
  const { left, top } = await visit.page
    .locator(".point")
    .nth(2)
    .evaluate((point) => (point as HTMLElement).style);
  const [x, y] = [Number.parseFloat(left) / 100, Number.parseFloat(top) / 100];
  await visit.stroke(".pose", [x, y], [0.3, 0.8]);
  const dragged = await condition();
  expect(Math.abs(dragged[6]! - 0.3 * 255)).toBeLessThan(3);
  expect(Math.abs(dragged[7]! - 0.8 * 255)).toBeLessThan(3);
  expect(dragged.filter((value, i) => value !== first[i])).toHaveLength(2);
  const point = visit.page.locator(".point").nth(2);
  await point.press("Shift+ArrowRight");
  const pushed = await condition();
  expect(pushed[6]).toBe(dragged[6]! + 16);
  // All of them together, as far as all stay on the picture.
  await visit.stroke(".pose", [0.9, 0.1], [0.9, 0.99]);
  const down = 255 - Math.max(...pushed.filter((_, i) => i % 3 === 1));
  expect(await condition()).toEqual(pushed.map((value, i) => (i % 3 === 1 ? value + down : value)));
  await point.press("Delete");
  expect([...(await condition()).subarray(6, 9)]).toEqual([0, 0, 0]);
  await visit.page.click("summary");
  await visit.page.locator(".chip").nth(2).click();
  expect((await condition())[8]).toBe(1);
});

test("boxes are drawn, moved, stretched, given another class and removed", async () => {
  await visit.choose("layout");
  await visit.press("Clear");
  await visit.ink("pear");
  await visit.stroke(".plane", [0.2, 0.3], [0.6, 0.5]);
  const { model } = await loaded(site.models, "layout");
  const classes = model.condition.kind === "layout" ? model.condition.classes.map(({ name }) => name) : [];
  const [label, left, top, width, height] = await condition();
  expect(label).toBe(1 + classes.indexOf("pear"));
  const wanted = [0.2, 0.3, 0.4, 0.2];
  for (const [i, got] of [left, top, width, height].entries())
    expect(Math.abs(got! - wanted[i]! * 255)).toBeLessThan(10);
  // A box is one step.
  await visit.press("Undo");
  expect(await visit.page.locator(".box").count()).toBe(0);
  await visit.press("Redo");
  await visit.stroke(".plane", [0.4, 0.4], [0.5, 0.6]);
  const moved = await condition();
  expect([...moved.subarray(3, 5)]).toEqual([width, height]);
  expect(Math.abs(moved[1]! - left! - 0.1 * 255)).toBeLessThan(2);
  const box = visit.page.locator(".box");
  await box.press("Shift+ArrowDown");
  expect((await condition())[4]).toBe(height! + 8);
  // It stays on the picture.
  await visit.stroke(".plane", [0.4, 0.5], [0.99, 0.99]);
  expect([...(await condition()).subarray(1, 3)]).toEqual([255 - width!, 255 - height! - 8]);
  const saved = await visit.download("Download what you made");
  expect(saved.name).toBe("layout-condition.json");
  expect(JSON.parse(saved.bytes.toString())).toEqual([
    { class: "pear", box: [255 - width!, 247 - height!, width!, height! + 8].map((place) => place / 255) },
  ]);
  await visit.ink("rose");
  expect((await condition())[0]).toBe(1 + classes.indexOf("rose"));
  for (let i = 0; i < 3; i++) await visit.press("Add a box");
  expect(await visit.page.getByRole("button", { name: "Add a box" }).isDisabled()).toBe(true);
  await visit.page.locator(".box").first().press("Delete");
  expect((await condition()).filter((value, i) => i % 5 === 0 && value > 0)).toHaveLength(3);
});

test("words are written, and too many are refused", async () => {
  await visit.choose("words");
  await visit.page.fill(".words", "ripe pear 🍐");
  await visit.page.press(".words", "Enter");
  expect(textOf(await condition())).toBe("ripe pear 🍐");
  const saved = await visit.download("Download what you made");
  expect([saved.name, saved.bytes.toString()]).toEqual(["words-condition.txt", "ripe pear 🍐"]);
  await visit.page.fill(".words", "a text that is longer than the model has ever read");
  expect(await visit.page.getAttribute(".words", "aria-invalid")).toBe("true");
  expect(await visit.page.textContent(".tools .value")).toMatch(/^\d+ bytes too many$/);
  await visit.page.press(".words", "Enter");
  expect(await visit.page.locator(".cell:not(.old)").count()).toBe(0);
  expect(textOf((await visit.work()).condition!)).toBe("ripe pear 🍐");
  // They are no step of their own.
  await visit.press("Undo");
  expect(await visit.page.inputValue(".words")).toBe("ripe pear 🍐");
  await visit.press("Undo");
  expect(await visit.page.inputValue(".words")).toBe("1 ripe pears");
  // Half a character, as some keyboards leave it for a moment.
  await visit.page.locator(".words").evaluate((area) => {
    (area as HTMLTextAreaElement).value = "pear \0\ud83c";
    area.dispatchEvent(new Event("input"));
  });
  await visit.page.press(".words", "Enter");
  expect(textOf(await condition())).toBe("pear \ufffd");
});

test("words that are typed are drawn without a further key, and no letter of them is a key of the page", async () => {
  await visit.page.locator("#announcer").evaluate((announcer) => announcer.replaceChildren());
  const seed = await visit.page.inputValue("#seed");
  await visit.page.fill(".words", "pea");
  await visit.page.press(".words", "n");
  await visit.page.waitForSelector("#announcer:text('2 pictures are drawn')", { state: "attached" });
  expect(await visit.page.inputValue(".words")).toMatch(/^(pean|npea)$/);
  expect(await visit.page.inputValue("#seed")).toBe(seed);
});

test("guidance is there for models that know no condition, and draws otherwise", async () => {
  await visit.page.fill(".words", "pear");
  await visit.page.press(".words", "Enter");
  await visit.drawn();
  const before = await visit.pictures();
  await visit.page.fill("#guidance", "3");
  await condition();
  expect(await visit.pictures()).not.toEqual(before);
});

test("a WAV file becomes the spectrogram that the command line makes of it; what is none is refused", async () => {
  await visit.choose("sound");
  expect(await visit.page.isDisabled("#guidance")).toBe(true);
  const wav = wavOf(Float32Array.from({ length: 8000 }, (_, i) => Math.sin(i / 9) * Math.sin((Math.PI * i) / 8000)));
  const file = join(folder, "sound.wav");
  writeFileSync(file, wav);
  await visit.page.setInputFiles("[aria-label='Sound file']", file);
  await visit.page.waitForSelector("text=sound.wav");
  const { condition: spec } = (await loaded(site.models, "sound")).model;
  if (spec.kind !== "audio") throw new Error("the model is not of kind audio");
  expect(await condition()).toEqual(logMel(readWav(wav, "sound.wav"), spec));
  writeFileSync(file, wav.subarray(0, 30));
  await visit.page.setInputFiles("[aria-label='Sound file']", file);
  await visit.page.waitForSelector("#fault :text('sound.wav cannot be read')");
  expect(await visit.page.textContent(".tools .value")).toBe("sound.wav");
  await visit.press("Example 1");
  expect(await visit.page.textContent(".tools .value")).toBe("");
  const notes = { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("no sound") };
  await visit.page.setInputFiles("[aria-label='Sound file']", notes);
  await visit.page.waitForSelector("#fault :text('notes.txt cannot be read: it is neither a WAV file')");
  await visit.press("Clear");
  await visit.page.waitForSelector(".empty");
});

test("of two sounds the one that was chosen last counts, though the other takes longer", async () => {
  // The first that is read is kept waiting.
  await visit.page.evaluate(() => {
    const { postMessage } = Worker.prototype;
    Worker.prototype.postMessage = function (this: Worker, message: { kind: string }) {
      if (message.kind === "wav") Worker.prototype.postMessage = postMessage;
      setTimeout(() => postMessage.call(this, message), message.kind === "wav" ? 1000 : 0);
    };
  });
  const buffer = Buffer.from(wavOf(Float32Array.from({ length: 8000 }, (_, i) => Math.sin(i / 5))));
  for (const name of ["older.wav", "newer.wav"])
    await visit.page.setInputFiles("[aria-label='Sound file']", { name, mimeType: "audio/wav", buffer });
  await visit.page.waitForSelector("text=newer.wav");
  await expect.poll(() => visit.page.workers().length, { timeout: 60_000 }).toBe(1);
  expect(await visit.page.textContent(".tools .value")).toBe("newer.wav");
});

describe("the microphone", () => {
  /** Tracks that it was asked for, and what becomes of them. */
  const tracks = () => visit.page.evaluate(() => (globalThis as unknown as { tracks: string[] }).tracks);

  beforeAll(async () => {
    await visit.choose("sound");
    await visit.page.context().grantPermissions(["microphone"]);
    await visit.page.evaluate(() => {
      const asked: MediaStreamTrack[] = [];
      Object.defineProperty(globalThis, "tracks", { get: () => asked.map(({ readyState }) => readyState) });
      const { mediaDevices } = navigator;
      const ask = mediaDevices.getUserMedia.bind(mediaDevices);
      mediaDevices.getUserMedia = async (wish) => {
        const stream = await ask(wish);
        asked.push(...stream.getTracks());
        return stream;
      };
    });
  });

  test("is listened to until Stop is pressed, and once, however often Record is", async () => {
    const before = await condition();
    await visit.page.evaluate(() => {
      const record = document.querySelector<HTMLElement>(".tool-row button")!;
      record.click();
      record.click();
    });
    await visit.page.getByRole("button", { name: "Stop" }).waitFor();
    await visit.page.waitForTimeout(1200);
    expect(await tracks()).toEqual(["live"]);
    await visit.press("Stop");
    await visit.page.waitForSelector("text=your voice");
    expect(await tracks()).toEqual(["ended"]);
    const after = await condition();
    expect(after).not.toEqual(before);
    // The loudest level is 255: something was heard.
    expect(Math.max(...after)).toBe(255);
  });

  test("is let go where the browser cannot record", async () => {
    await visit.page.evaluate(() => {
      const { MediaRecorder: real } = globalThis;
      globalThis.MediaRecorder = class {
        constructor() {
          globalThis.MediaRecorder = real;
          throw new Error("no codec");
        }
      } as unknown as typeof MediaRecorder;
    });
    await visit.press("Record");
    await visit.page.waitForSelector("#fault :text('no codec')");
    expect((await tracks()).at(-1)).toBe("ended");
  });

  test("is said to need HTTPS where the browser has none for the page", async () => {
    await visit.page.evaluate(() => Object.defineProperty(navigator, "mediaDevices", { configurable: true }));
    await visit.press("Record");
    await visit.page.waitForSelector("#fault :text('a page without HTTPS may not listen')");
    await visit.page.evaluate(() => Reflect.deleteProperty(navigator, "mediaDevices"));
  });

  test("is let go when another model is chosen", async () => {
    await visit.press("Record");
    await visit.page.getByRole("button", { name: "Stop" }).waitFor();
    await visit.choose("words");
    expect((await tracks()).at(-1)).toBe("ended");
  });
});

/** 16 bits, one channel, 16 kHz. */
function wavOf(samples: Float32Array): Uint8Array {
  const bytes = Buffer.alloc(44 + 2 * samples.length);
  bytes.write("RIFF", 0);
  bytes.writeUInt32LE(36 + 2 * samples.length, 4);
  bytes.write("WAVEfmt ", 8);
  bytes.writeUInt32LE(16, 16);
  bytes.writeUInt16LE(1, 20);
  bytes.writeUInt16LE(1, 22);
  bytes.writeUInt16LE(2, 32);
  bytes.writeUInt16LE(16, 34);
  bytes.writeUInt32LE(16_000, 24);
  bytes.writeUInt32LE(32_000, 28);
  bytes.write("data", 36);
  bytes.writeUInt32LE(2 * samples.length, 40);
  samples.forEach((sample, i) => {
    bytes.writeInt16LE(Math.round(sample * 32_000), 44 + 2 * i);
  });
  return new Uint8Array(bytes);
}
