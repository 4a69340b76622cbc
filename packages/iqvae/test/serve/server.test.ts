import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, statSync, writeFileSync } from "node:fs";
import { type AddressInfo, connect, Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { healthAnswer, imageEvent, imagesAnswer, modelsAnswer, problemAnswer } from "../../src/serve/api.ts";
import { DrawerError } from "../../src/serve/drawer/drawer.ts";
import type { RunningServer, ServerOptions } from "../../src/serve/server.ts";
import { EXAMPLE, HeldDrawer, post, START, serverWith } from "./support.ts";

/** Of the weights in the box. */
const BYTES = statSync(join(START, "model.safetensors")).size;

let drawer: HeldDrawer;
let server: RunningServer;
const logged: string[] = [];
const serve = async (options: Parameters<typeof serverWith>[0] = {}) => {
  server = await serverWith({ start: async () => drawer, log: (sentence) => logged.push(sentence), ...options });
};
beforeEach(() => {
  logged.length = 0;
  drawer = new HeldDrawer();
});
afterEach(() => server.drain(0));

const until = async (is: () => boolean | Promise<boolean>) => {
  while (!(await is())) await new Promise((resolve) => setTimeout(resolve, 5));
};
const health = async () => {
  const response = await fetch(`${server.url}healthz`);
  return [response.status, healthAnswer.parse(await response.json())] as const;
};
const figure = async (name: string) => {
  const text = await (await fetch(`${server.url}metrics`)).text();
  return text
    .split("\n")
    .find((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    ?.split(" ")
    .at(-1);
};

test("a program that serves keeps the Request and Response that it had", async () => {
  const before = [Request, Response];
  await serve();
  expect((await health())[0]).toBe(200);
  expect([Request, Response]).toEqual(before);
  expect(Object.getOwnPropertyDescriptor(globalThis, "Response")?.writable).not.toBe(false);
});

test("when too many wait, it says when to come back", async () => {
  await serve({ limits: { queue: 3, batch: 1 } });
  const all = [1, 3].map((samples) => post(server, { condition: EXAMPLE, samples }));
  await until(() => server.queue.load.waiting === 3);
  const full = await post(server, { condition: EXAMPLE });
  expect([full.status, Number(full.headers.get("retry-after")) >= 1]).toEqual([429, true]);
  expect(problemAnswer.parse(await full.json()).detail).toMatch(/3 images wait.*room for 3.*come back in \d+ s/);
  for (let i = 0; i < 4; i++) (await drawer.batch(i)).finish();
  for (const [i, response] of (await Promise.all(all)).entries())
    expect(imagesAnswer.parse(await response.json()).images).toHaveLength([1, 3][i]!);
});

test.each(["application/json", "text/event-stream"])("who hangs up (%s) is not drawn for any more", async (accept) => {
  await serve({ limits: { batch: 2 } });
  const control = new AbortController();
  const leaving = post(server, { condition: EXAMPLE, samples: 9 }, { accept }, control.signal);
  const batch = await drawer.batch(0);
  const staying = post(server, { condition: EXAMPLE });
  await until(() => server.queue.load.waiting === 8);
  control.abort();
  await leaving.then((response) => response.text()).catch(() => {});
  await until(() => batch.dropped.has(0));
  expect(server.queue.load).toEqual({ waiting: 1, drawing: 2 });
  batch.finish();
  (await drawer.batch(1)).finish();
  expect((await staying).status).toBe(200);
  await until(async () => (await figure("iqvae_images_dropped_total")) === "9");
  const text = await (await fetch(`${server.url}metrics`)).text();
  expect(text).toContain('iqvae_request_seconds_count{route="/v1/images",status="499"} 1');
  expect(text).toContain('iqvae_request_seconds_count{route="/v1/images",status="200"} 1');
});

test("who hangs up before the picture is read is not drawn for", async () => {
  await serve();
  const png = await sharp({ create: { width: 32, height: 32, channels: 3, background: "#ecefF1" } })
    .png()
    .toBuffer();
  const body = JSON.stringify({ condition: { kind: "picture", png: png.toString("base64") } });
  const head = "POST /v1/images HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
  const count = 'iqvae_request_seconds_count{route="/v1/images",status="499"}';
  for (let i = 1; i <= 3; i++) {
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
    socket.write(`${head}Content-Length: ${body.length}\r\n\r\n${body}`, () => socket.destroy());
    await until(async () => (await figure(count)) === String(i));
  }
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(drawer.batches.every(({ dropped }) => dropped.has(0))).toBe(true);
});

test("the time of a request is not waited for once it is answered", async () => {
  await serve({ limits: { seconds: 61 } });
  const [set, cleared] = [vi.spyOn(globalThis, "setTimeout"), vi.spyOn(globalThis, "clearTimeout")];
  onTestFinished(() => void vi.restoreAllMocks());
  const response = post(server, { condition: EXAMPLE });
  (await drawer.batch(0)).finish();
  expect((await response).status).toBe(200);
  const timer = set.mock.results[set.mock.calls.findIndex(([, time]) => time === 61_000)]!.value;
  for (let i = 0; i < 100 && !cleared.mock.calls.flat().includes(timer); i++) await health();
  expect(cleared.mock.calls.flat()).toContain(timer);
});

test("who waits too long is told so, whole or in the middle of a stream", async () => {
  await serve({ limits: { seconds: 0.2, batch: 1 } });
  const whole = await post(server, { condition: EXAMPLE });
  expect([whole.status, whole.headers.get("retry-after")]).toEqual([503, "5"]);
  expect(problemAnswer.parse(await whole.json()).detail).toContain("not done in 0.2 s");
  drawer.batches[0]!.finish();
  const streamed = await post(server, { condition: EXAMPLE }, { accept: "application/x-ndjson" });
  expect(streamed.status).toBe(200);
  const events = (await streamed.text())
    .trim()
    .split("\n")
    .map((line) => imageEvent.parse(JSON.parse(line)));
  expect(events.map(({ event }) => event)).toEqual(["accepted", "error"]);
  expect(events[1]).toMatchObject({ problem: { status: 503 } });
  drawer.batches[1]!.finish();
});

test("what draws may be lost: the images are drawn by the next, twice lost is 503", async () => {
  await serve();
  const lucky = post(server, { condition: EXAMPLE });
  (await drawer.batch(0)).fail(new DrawerError("killed"));
  (await drawer.batch(1)).finish();
  expect((await lucky).status).toBe(200);
  const unlucky = post(server, { condition: EXAMPLE });
  (await drawer.batch(2)).fail(new DrawerError("killed"));
  (await drawer.batch(3)).fail(new DrawerError("killed again"));
  const response = await unlucky;
  expect([response.status, problemAnswer.parse(await response.json()).detail]).toEqual([
    503,
    expect.stringContaining("killed again"),
  ]);
});

test("a fault of ours is told to whoever runs the server, and not to the client", async () => {
  await serve();
  const asked = post(server, { condition: EXAMPLE });
  for (const number of [0, 1]) (await drawer.batch(number)).fail(new TypeError("secret"));
  const response = await asked;
  expect(response.status).toBe(500);
  expect(await response.text()).not.toContain("secret");
  expect(logged.join()).toContain("TypeError: secret");
});

test("asked to end, it draws what it accepted and accepts nothing else", async () => {
  await serve({ limits: { batch: 1 } });
  const accepted = post(server, { condition: EXAMPLE, samples: 2 });
  const kept = await connection(server.url);
  const first = await drawer.batch(0);
  let ended = false;
  const ending = server.drain(60).then(() => {
    ended = true;
  });
  await expect(fetch(`${server.url}healthz`)).rejects.toThrow(); // no new connections
  expect(await kept()).toMatch(/^HTTP\/1.1 503/);
  first.finish();
  (await drawer.batch(1)).finish();
  expect(imagesAnswer.parse(await (await accepted).json()).images).toHaveLength(2);
  await ending;
  expect([ended, drawer.ended]).toEqual([true, true]);
});

test("what is not done in the time that is left is given up", async () => {
  await serve();
  const accepted = post(server, { condition: EXAMPLE });
  await drawer.batch(0);
  await server.drain(0.1);
  const response = await accepted;
  expect([response.status, problemAnswer.parse(await response.json()).detail]).toEqual([503, "The server has ended."]);
  expect(logged.join()).toContain("1 images");
});

/** A request whose head was sent before; sends the rest, and gives the answer. */
async function connection(url: string): Promise<() => Promise<string>> {
  const { port } = new URL(url);
  const socket = connect(Number(port), "127.0.0.1");
  // The first half of a request: an idle connection would be closed.
  const body = JSON.stringify({ condition: EXAMPLE });
  await new Promise<void>((resolve) => socket.on("connect", resolve));
  socket.write(
    `POST /v1/images HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`,
  );
  await new Promise((resolve) => setTimeout(resolve, 50));
  return () =>
    new Promise((resolve) => {
      let text = "";
      socket.on("data", (data) => (text += data)).on("close", () => resolve(text));
      socket.write(body);
    });
}

test("with a token everything but the health needs it: as a bearer, or in a cookie", async () => {
  const token = "correct horse battery";
  await serve({ token });
  const status = async (path: string, headers: Record<string, string> = {}) =>
    (await fetch(server.url + path, { headers, redirect: "manual" })).status;
  expect(await status("healthz")).toBe(200);
  for (const path of ["", "v1/models", "metrics", "openapi.json", "models/models.json", "models/start/model.json"]) {
    expect(await status(path), path).toBe(401);
    expect(await status(path, { authorization: "Bearer wrong" }), path).toBe(401);
    expect(await status(path, { authorization: `Bearer ${token}` }), path).toBe(200);
  }
  const unknown = await post(server, { condition: EXAMPLE });
  expect([unknown.status, unknown.headers.get("www-authenticate")]).toEqual([401, "Bearer"]);

  const entry = await fetch(`${server.url}?token=${encodeURIComponent(token)}&model=start`, { redirect: "manual" });
  expect([entry.status, entry.headers.get("location")]).toEqual([303, "/?model=start"]);
  const cookie = entry.headers.get("set-cookie")!;
  expect(cookie).toMatch(/HttpOnly/);
  expect(cookie).toMatch(/SameSite=Strict/);
  expect(await status("v1/models", { cookie: cookie.split(";")[0]! })).toBe(200);
  expect(await status("?token=wrong")).toBe(401);
  const elsewhere = `${server.url}/evil.example/?token=${encodeURIComponent(token)}`;
  expect((await fetch(elsewhere, { redirect: "manual" })).headers.get("location")).toBe("/evil.example/");
  const long = await post(server, { model: "x".repeat(201), condition: EXAMPLE }, { authorization: `Bearer ${token}` });
  expect([long.status, JSON.stringify(await long.json())]).toEqual([422, expect.stringContaining("model")]);
});

test.each([
  ["short", "5 characters"],
  ["schlüssel-ist-lang-genug", "ASCII"],
  ["sixteen or more ", "ASCII"],
  ["a line\nand another", "ASCII"],
])("the token %j is refused: not all clients could send it, or others could guess it", async (token, why) => {
  await expect(serve({ token })).rejects.toThrow(why);
});

test("every answer lets a page be alone in its process, errors too", async () => {
  await serve();
  for (const path of ["", "v1/models", "models/start/model.json", "healthz", "nothing"]) {
    const { headers } = await fetch(server.url + path);
    expect(
      ["opener", "embedder"].map((name) => headers.get(`cross-origin-${name}-policy`)),
      path,
    ).toEqual(["same-origin", "require-corp"]);
    expect(headers.get("x-content-type-options"), path).toBe("nosniff");
  }
});

test("the page is sent, with what never changes to be kept", async () => {
  const page = mkdtempSync(join(tmpdir(), "page-"));
  mkdirSync(join(page, "assets"));
  mkdirSync(join(page, "models"));
  writeFileSync(join(page, "index.html"), "<title>studio</title>");
  writeFileSync(join(page, "assets", "index-abc.js"), "1");
  writeFileSync(join(page, "models", "models.json"), "the page's own list");
  await serve({ page } satisfies Partial<ServerOptions>);
  const [index, script, list] = await Promise.all(
    ["", "assets/index-abc.js", "models/models.json"].map((path) => fetch(server.url + path)),
  );
  expect([await index!.text(), index!.headers.get("content-type"), index!.headers.get("cache-control")]).toEqual([
    "<title>studio</title>",
    expect.stringContaining("text/html"),
    "no-cache",
  ]);
  expect(script!.headers.get("content-type")).toContain("javascript");
  expect(script!.headers.get("cache-control")).toContain("immutable");
  // The models are those that are served, not those that the page was built with.
  expect(await list!.json()).toEqual({ models: [{ name: "start", kind: "semantic", size: 32, bytes: BYTES }] });
  expect((await fetch(`${server.url}nothing`)).status).toBe(404);
  rmSync(page, { recursive: true });
});

test("files of a model are known by their hash, and sent once", async () => {
  await serve();
  const url = `${server.url}models/start/model.safetensors`;
  const first = await fetch(url);
  expect((await first.arrayBuffer()).byteLength).toBe(BYTES);
  const etag = first.headers.get("etag")!;
  expect(etag).toMatch(/^"[0-9a-f]{64}"$/);
  const again = await fetch(url, { headers: { "if-none-match": etag } });
  expect([again.status, await again.text()]).toEqual([304, ""]);
  for (const tags of [`W/${etag}`, `"other", ${etag}`, `W/"other",W/${etag}`, "*"])
    expect((await fetch(url, { headers: { "if-none-match": tags } })).status, tags).toBe(304);
  const other = await fetch(url, { method: "HEAD", headers: { "if-none-match": `"other", ${etag.slice(1)}` } });
  expect(other.status).toBe(200);
  const head = await fetch(url, { method: "HEAD" });
  expect([head.status, head.headers.get("content-length")]).toEqual([200, String(BYTES)]);
});

test("who never reads is let go of in the end, and who waits for images is not", { timeout: 60_000 }, async () => {
  const listen = vi.spyOn(Server.prototype, "listen");
  onTestFinished(() => listen.mockRestore());
  await serve({ limits: { seconds: 0.3 }, idle: 200 });
  const own = listen.mock.contexts[0] as Server;
  const { port } = new URL(server.url);
  const deaf = connect(Number(port), "127.0.0.1", () => {
    deaf.write("GET /models/start/model.safetensors HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(20));
  });
  deaf.on("error", () => {});
  const [socket] = (await once(own, "connection")) as [Socket];
  const gone = new Promise((resolve) => socket.once("close", resolve).on("error", () => {}));
  const patient = await post(server, { condition: EXAMPLE });
  expect(patient.status).toBe(503); // after all the time that it has
  await gone;
  deaf.destroy();
  // Who sends slowly, and too many at once: Node.js looks at these every half minute only.
  expect(own).toMatchObject({ headersTimeout: 10_000, requestTimeout: 30_000, maxConnections: 1024 });
});

test("a client that asks for much at once and hangs up leaves no file open", async () => {
  await serve();
  const { port } = new URL(server.url);
  const opened = () =>
    readdirSync("/proc/self/fd").filter((name) => {
      try {
        return readlinkSync(`/proc/self/fd/${name}`).endsWith("model.safetensors");
      } catch {
        return false; // closed meanwhile
      }
    }).length;
  const before = opened();
  const client = connect(Number(port), "127.0.0.1");
  client.on("error", () => {});
  client.pause();
  client.write("GET /models/start/model.safetensors HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(20));
  await until(() => opened() > before + 10);
  client.destroy();
  await until(() => opened() === before);
});

test("while models are loaded, the health says so, and all else is asked to come back", async () => {
  let loaded = () => {};
  const listen = vi.spyOn(Server.prototype, "listen");
  onTestFinished(() => listen.mockRestore());
  let starting = Promise.resolve();
  // Models are loaded once the server listens; at which port, only the system knows until then.
  const url = await new Promise<string>((listening, failed) => {
    starting = serve({
      start: async () => {
        const { port } = (listen.mock.contexts[0] as Server).address() as AddressInfo;
        listening(`http://127.0.0.1:${port}/`);
        await new Promise<void>((resolve) => {
          loaded = resolve;
        });
        return drawer;
      },
    });
    starting.catch(failed);
  });
  const health = await fetch(`${url}healthz`);
  expect([health.status, healthAnswer.parse(await health.json())]).toEqual([
    503,
    { status: "starting", waiting: 0, drawing: 0 },
  ]);
  const asked = await post({ url }, { condition: EXAMPLE });
  expect([asked.status, asked.headers.get("retry-after")]).toEqual([503, "1"]);
  expect(problemAnswer.parse(await asked.json()).detail).toContain("being loaded");
  loaded();
  await starting;
  expect((await fetch(`${url}healthz`)).status).toBe(200);
});

test("says what it has, how it is, and counts", async () => {
  await serve();
  const { models } = modelsAnswer.parse(await (await fetch(`${server.url}v1/models`)).json());
  expect(models).toMatchObject([
    {
      name: "start",
      size: 32,
      engine: "held",
      examples: 8,
      guidable: false,
      condition: { kind: "semantic", given: "picture", shape: [32, 32] },
    },
  ]);
  expect(models[0]!.condition.classes![12]).toEqual({ name: "accessory", color: [155, 93, 229] });
  expect(await health()).toEqual([200, { status: "ok", waiting: 0, drawing: 0 }]);
  const asked = post(server, { condition: EXAMPLE, samples: 3 });
  const batch = await drawer.batch(0);
  expect((await health())[1]).toEqual({ status: "ok", waiting: 0, drawing: 3 });
  expect(await figure("iqvae_images_drawing")).toBe("3");
  batch.finish();
  await asked;
  expect(await figure("iqvae_images_total")).toBe("3");
  expect(Number(await figure("process_resident_memory_bytes"))).toBeGreaterThan(1e6);
});
