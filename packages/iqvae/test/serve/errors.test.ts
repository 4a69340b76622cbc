import { request as plainRequest } from "node:http";
import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { problemAnswer } from "../../src/serve/api.ts";
import type { Problem } from "../../src/serve/problem.ts";
import { type RunningServer, startServer } from "../../src/serve/server.ts";
import { EXAMPLE, HeldDrawer, models, post, serverWith } from "./support.ts";

let server: RunningServer;
beforeAll(async () => {
  server = await serverWith({
    start: async () => new HeldDrawer(),
    limits: { samples: 5, body: 4000, pixels: 4 * 1024 },
  });
});
afterAll(() => server.drain(0));

async function problemOf(response: Response): Promise<Problem["body"]> {
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  const problem = problemAnswer.parse(await response.json());
  expect(problem.status).toBe(response.status);
  return problem;
}
const fieldsOf = async (body: unknown, headers = {}) => {
  const problem = await problemOf(await post(server, body, headers));
  expect(problem.status).toBe(422);
  return (problem.errors ?? []).map(({ field, message }) => [field, message]);
};

const base64 = (bytes: Uint8Array | string) => Buffer.from(bytes).toString("base64");

test.each<[what: string, body: unknown, field: string, message: RegExp]>([
  ["no condition", {}, "condition", /expected object|Invalid input/],
  ["a list", [], "", /expected object/],
  ["a kind that there is not", { condition: { kind: "map" } }, "condition.kind", /'picture'.*'example'/],
  ["a condition without contents", { condition: { kind: "picture" } }, "condition.png", /string/],
  ["what is not Base64", { condition: { kind: "bytes", bytes: "a~~~" } }, "condition.bytes", /base64/],
  [
    "too few bytes",
    { condition: { kind: "bytes", bytes: base64("abcd") } },
    "condition.bytes",
    /1024 bytes \[32, 32\], but 4 came/,
  ],
  [
    "a class that there is not",
    { condition: { kind: "bytes", bytes: base64(new Uint8Array(1024).fill(99)) } },
    "condition.bytes",
    /pixel 0 holds 99/,
  ],
  [
    "what is not a PNG file",
    { condition: { kind: "picture", png: base64("<svg/>") } },
    "condition.png",
    /not a PNG file/,
  ],
  [
    "a PNG file that is cut off",
    { condition: { kind: "picture", png: "iVBORw0KGgoAAAANSUhEUgAAACAAAAAg" } },
    "condition.png",
    /not a whole image/,
  ],
  [
    "another kind than the model's",
    { condition: { kind: "text", text: "cat" } },
    "condition.kind",
    /"semantic".*"picture", not as "text"/,
  ],
  ["an example that there is not", { condition: { kind: "example", number: 8 } }, "condition.number", /8 examples/],
  ["a field that there is not", { condition: EXAMPLE, sample: 2 }, "sample", /no such field/],
  ["a field in it that there is not", { condition: { ...EXAMPLE, of: 2 } }, "condition.of", /no such field/],
  ["no samples", { condition: EXAMPLE, samples: 0 }, "samples", />=1/],
  ["too many samples", { condition: EXAMPLE, samples: 6 }, "samples", /<=5/],
  ["too many pixels", { condition: EXAMPLE, samples: 5 }, "samples", /32 × 32 pixels.*4 images/],
  ["a seed that is not whole", { condition: EXAMPLE, seed: 1.5 }, "seed", /int/],
  ["a temperature of 0", { condition: EXAMPLE, temperature: 0 }, "temperature", />0/],
  ["top-p above 1", { condition: EXAMPLE, topP: 1.1 }, "topP", /<=1/],
  ["top-k 0", { condition: EXAMPLE, topK: 0 }, "topK", />=1/],
  [
    "guidance of a model without",
    { condition: EXAMPLE, guidance: 2 },
    "guidance",
    /start was not trained without conditions/,
  ],
  ["a model that there is not", { condition: EXAMPLE, model: "stat" }, "model", /no model 'stat'.*start/],
])("names the field: %s", async (_, body, field, message) => {
  expect(await fieldsOf(body)).toEqual([[field, expect.stringMatching(message)]]);
});

test("names all fields that are wrong", async () => {
  const fields = await fieldsOf({ condition: { kind: "text", text: "" }, samples: 1e9, seed: "a" });
  expect(fields.map(([field]) => field)).toEqual(["condition.text", "samples", "seed"]);
});

test("a PNG answer has room for one image", async () => {
  expect(await fieldsOf({ condition: EXAMPLE, samples: 2 }, { accept: "image/png" })).toEqual([
    ["samples", expect.stringContaining("image/png has room for one image, but 2")],
  ]);
});

test.each<[what: string, status: number, detail: RegExp, ask: () => Promise<Response>]>([
  ["JSON that is cut off", 400, /not valid JSON/, () => post(server, '{"condition":')],
  [
    "a form",
    415,
    /application\/x-www-form-urlencoded.*application\/json/,
    () => post(server, "a=1", { "content-type": "application/x-www-form-urlencoded" }),
  ],
  [
    "an answer as video",
    406,
    /video\/mp4.*application\/json, image\/png/,
    () => post(server, { condition: EXAMPLE }, { accept: "video/mp4" }),
  ],
  [
    "a body that is too large",
    413,
    /4000 bytes at most/,
    () => post(server, { condition: { kind: "bytes", bytes: "A".repeat(4000) } }),
  ],
  [
    "JSON that is compressed",
    415,
    /encoded as gzip.*without Content-Encoding/,
    () => post(server, { condition: EXAMPLE }, { "content-encoding": "gzip" }),
  ],
  [
    "what is excluded, though all is accepted",
    406,
    /application\/json;q=0/,
    () =>
      post(
        server,
        { condition: EXAMPLE },
        { accept: "application/json;q=0, image/*;q=0, TEXT/*;q=0, application/*;q=0, */*" },
      ),
  ],
  ["GET", 405, /by POST, not by GET/, () => fetch(`${server.url}v1/images`)],
  ["a route that there is not", 404, /nothing at \/v2.*openapi/, () => fetch(`${server.url}v2`)],
  ["a model file that there is not", 404, /no secret of a model/, () => fetch(`${server.url}models/start/secret`)],
  [
    "files of a model that there is not",
    404,
    /no model.json of a model/,
    () => fetch(`${server.url}models/stat/model.json`),
  ],
  [
    "a path out of the model",
    404,
    /no \.\.\/\.\.\/package\.json of/,
    () => fetch(`${server.url}models/start/..%2f..%2fpackage.json`),
  ],
])("refuses %s", async (_, status, detail, ask) => {
  const problem = await problemOf(await ask());
  expect([problem.status, problem.detail]).toEqual([status, expect.stringMatching(detail)]);
});

test("a body that is too large and does not say how large it is, is refused while it comes", async () => {
  const body = new ReadableStream({
    pull(controller) {
      controller.enqueue(new TextEncoder().encode(" ".repeat(1000)));
    },
  });
  const sending = {
    method: "POST",
    headers: { "content-type": "application/json" },
    body,
    duplex: "half",
  } as RequestInit;
  const response = await fetch(`${server.url}v1/images`, sending);
  expect((await problemOf(response)).status).toBe(413);
});

test.each<[path: string, method: string, allow: string]>([
  ["v1/images", "DELETE", "POST"],
  ...["", "healthz", "v1/models", "metrics", "openapi.json", "models/models.json", "models/start/model.json"].map(
    (path): [string, string, string] => [path, "POST", "GET, HEAD"],
  ),
])("/%s by %s is 405", async (path, method, allow) => {
  const response = await fetch(server.url + path, { method });
  expect([response.status, response.headers.get("allow")]).toEqual([405, allow]);
  expect((await problemOf(response)).detail).toContain(`not by ${method}`);
});

/** What comes for a request that no client of our time writes. */
function answerTo(text: string): Promise<string> {
  return new Promise((resolve) => {
    let answer = "";
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1", () => socket.write(text));
    socket.on("data", (data) => (answer += data)).on("close", () => resolve(answer));
  });
}

test("HTTP/1.0 may name no host; a name that is none is a problem with words", async () => {
  expect(await answerTo("GET /healthz HTTP/1.0\r\n\r\n")).toMatch(/^HTTP\/1.1 200.*"status":"ok"/s);
  const wrong = await answerTo("GET /healthz HTTP/1.0\r\nHost: a b\r\n\r\n");
  expect(wrong).toMatch(/^HTTP\/1.1 400.*application\/problem\+json.*cannot be read: Invalid/s);
});

test("what is not HTTP is answered by 400, and the server goes on", async () => {
  const answer = await answerTo("PAINT me a face\r\n\r\n");
  expect(answer).toMatch(/^HTTP\/1.1 400/);
  expect((await fetch(`${server.url}healthz`)).status).toBe(200);
});

test("without a token it answers to names of this machine only", async () => {
  const { port } = new URL(server.url);
  const statusFor = (host: string) =>
    new Promise<number>((resolve) => {
      plainRequest({ port, path: "/v1/models", headers: { host } }, (response) => {
        response.resume();
        resolve(response.statusCode!);
      }).end();
    });
  expect(await Promise.all(["evil.example", `evil.example:${port}`, "localhost.evil.example"].map(statusFor))).toEqual([
    421, 421, 421,
  ]);
  expect(await Promise.all([`localhost:${port}`, `127.0.0.1:${port}`, `[::1]:${port}`].map(statusFor))).toEqual([
    200, 200, 200,
  ]);
});

test("addresses that cannot be listened at are named, with what to do", async () => {
  const options = {
    models,
    host: "127.0.0.1",
    port: Number(new URL(server.url).port),
    token: undefined,
    drawers: 1,
    page: undefined,
    log() {},
    limits: { body: 1, samples: 1, pixels: 1, queue: 1, seconds: 1, batch: 1 },
  };
  await expect(startServer(options)).rejects.toThrow(`port ${options.port} of 127.0.0.1: another program does`);
  await expect(startServer({ ...options, host: "192.0.2.1", token: "x".repeat(16) })).rejects.toThrow(
    "does not have that address",
  );
  await expect(startServer({ ...options, host: "0.0.0.0" })).rejects.toThrow("a token is needed");
  await expect(startServer({ ...options, token: "short" })).rejects.toThrow("5 characters, but 16 are the least");
});
