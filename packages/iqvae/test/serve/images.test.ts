import { ImageGenerator } from "@iqvae/runtime";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { drawCondition } from "../../src/media/index.ts";
import { imageEvent, imagesAnswer } from "../../src/serve/api.ts";
import type { RunningServer } from "../../src/serve/server.ts";
import { EXAMPLE, HeldDrawer, post, START, serverWith, start } from "./support.ts";

let server: RunningServer;
let generator: ImageGenerator;
beforeAll(async () => {
  generator = await ImageGenerator.load(START);
  server = await serverWith();
});
afterAll(() => server.drain(0));

const pixelsOf = async (png: string | ArrayBuffer) =>
  new Uint8Array(
    await sharp(typeof png === "string" ? Buffer.from(png, "base64") : png)
      .raw()
      .toBuffer(),
  );

test("one request, one picture: the one that the seed draws everywhere", async () => {
  const response = await post(server, { condition: EXAMPLE, seed: 1 }, { accept: "*/*;q=0.5, IMAGE/PNG" });
  expect([response.status, response.headers.get("content-type"), response.headers.get("x-seed")]).toEqual([
    200,
    "image/png",
    "1",
  ]);
  const [[expected]] = (await generator.draw([start.examples[0]!], { seed: 1 })) as [[Uint8Array]];
  expect(await pixelsOf(await response.arrayBuffer())).toEqual(expected);
});

test("several images with all that changes what is drawn", async () => {
  const options = { seed: 5, temperature: 0.8, topK: 40, topP: 0.9, firstSample: 3 };
  const response = await post(server, { model: "start", condition: EXAMPLE, samples: 3, ...options });
  const answer = imagesAnswer.parse(await response.json());
  expect([answer.model, answer.seed, answer.images.map(({ sample }) => sample)]).toEqual(["start", 5, [3, 4, 5]]);
  const [expected] = await generator.draw([start.examples[0]!], { ...options, samples: 3 });
  expect(await Promise.all(answer.images.map(({ png }) => pixelsOf(png)))).toEqual(expected);
});

test("what a request does not say is as the model says; one image is drawn, however large, in the form named first", async () => {
  const drawer = new HeldDrawer();
  const sampling = { temperature: 0.7, topK: 5, topP: 0.9, guidance: 2 };
  const models = new Map([["start", { ...start, guidable: true, sampling }]]);
  const own = await serverWith({ models, start: async () => drawer, limits: { pixels: 1 } });
  for (const [i, said] of [{}, { topK: null }].entries()) {
    const accept = ["application/json, image/png", "image/png, application/json"][i]!;
    const response = post(own, { condition: EXAMPLE, seed: 3, frames: true, ...said }, { accept });
    const early = response.then(({ status }) => {
      throw new Error(`${status} came before it was drawn`);
    });
    const batch = await Promise.race([drawer.batch(i), early]);
    // Nobody would see frames of what is not streamed.
    expect(batch.parts).toMatchObject([{ sampling: { seed: 3, ...sampling, ...said }, frames: false }]);
    batch.finish();
    const { status, headers } = await response;
    const [type] = accept.split(",");
    expect([status, headers.get("content-type"), headers.get("cache-control")]).toEqual([200, type, "no-store"]);
  }
  await own.drain(0);
});

test("a map as a picture in the colors of the classes, and as bytes, is the condition itself", async () => {
  const example = start.examples[1]!;
  const painted = drawCondition(example, start.spec, start.size);
  const png = (
    await sharp(painted, { raw: { width: 32, height: 32, channels: 3 } })
      .png()
      .toBuffer()
  ).toString("base64");
  const bytes = Buffer.from(example).toString("base64");
  const [expected] = await generator.draw([example], { seed: 2 });
  for (const condition of [
    { kind: "picture", png },
    { kind: "bytes", bytes },
    { kind: "example", number: 1 },
  ]) {
    const { images } = imagesAnswer.parse(await (await post(server, { condition, seed: 2 })).json());
    expect([await pixelsOf(images[0]!.png)], condition.kind).toEqual(expected);
  }
});

test("without a seed there is another one each time, and the answer says which", async () => {
  const answers = await Promise.all(
    [1, 2].map(async () => imagesAnswer.parse(await (await post(server, { condition: EXAMPLE })).json())),
  );
  expect(answers[0]!.seed).not.toBe(answers[1]!.seed);
  const again = await post(server, { condition: EXAMPLE, seed: answers[0]!.seed });
  expect(await again.json()).toEqual(answers[0]);
});

test.each([
  ["application/x-ndjson", (line: string) => line],
  ["text/event-stream", (block: string) => /^event: \w+\ndata: (.*)$/s.exec(block)?.[1] ?? ""],
])("as %s, images come while they are drawn", async (accept, jsonOf) => {
  const request = { condition: EXAMPLE, seed: 3, samples: 2, frames: true };
  const response = await post(server, request, { accept });
  expect(response.headers.get("content-type")).toBe(accept);
  const blocks = (await response.text()).split(accept === "text/event-stream" ? "\n\n" : "\n").filter(Boolean);
  const events = blocks.map((block) => imageEvent.parse(JSON.parse(jsonOf(block))));
  expect([events[0], events.at(-1)]).toEqual([
    { event: "accepted", model: "start", seed: 3 },
    { event: "done", images: 2 },
  ]);
  const [expected] = await generator.draw([start.examples[0]!], { seed: 3, samples: 2 });
  const images = events.flatMap((event) => (event.event === "image" ? [event] : []));
  expect(images.map(({ sample }) => sample)).toEqual([0, 1]);
  expect(await Promise.all(images.map(({ png }) => pixelsOf(png)))).toEqual(expected);
  const shares = events.flatMap((event) => (event.event === "progress" ? [event.share] : []));
  expect(shares.length).toBeGreaterThan(0);
  expect(shares).toEqual([...shares].sort((a, b) => a - b));
  const frames = events.flatMap((event) => (event.event === "frame" ? [event] : []));
  expect(new Set(frames.map(({ sample }) => sample))).toEqual(new Set([0, 1]));
  expect(frames.every(({ share }) => share > 0 && share < 1)).toBe(true);
});
