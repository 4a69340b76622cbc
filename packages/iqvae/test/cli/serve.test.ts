import { execFileSync } from "node:child_process";
import { cpSync, existsSync, truncateSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ImageGenerator } from "@iqvae/runtime";
import sharp from "sharp";
import { afterAll, beforeAll, expect, test } from "vitest";
import { healthAnswer, imageEvent, imagesAnswer } from "../../src/serve/api.ts";
import { EXAMPLE, post, START, start } from "../serve/support.ts";
import { Workspace } from "./program.ts";

const workspace = new Workspace();
beforeAll(() => {
  const repository = fileURLToPath(new URL("../../../..", import.meta.url));
  if (!existsSync(join(repository, "apps/studio/dist/index.html")))
    execFileSync("npm", ["run", "build", "--workspace", "apps/studio"], { cwd: repository });
});
afterAll(() => workspace.remove());

/** Starts `iqvae COMMAND … --json`; resolves once it serves. */
async function serving(command: "serve" | "studio", ...args: string[]) {
  const program = workspace.start(command, ...args, "--port", "0", "--json");
  await program.said('"serving"');
  const [, url] = /"url":"([^"]+)"/.exec(program.text.out) ?? [];
  if (url === undefined) throw new Error(`it does not serve: ${program.text.out}${program.text.err}`);
  return { ...program, url };
}
const drawersOf = (pid: number) =>
  execFileSync("pgrep", ["-P", String(pid)], { encoding: "utf8" })
    .trim()
    .split("\n");
const pixelsOf = async (png: string) => new Uint8Array(await sharp(Buffer.from(png, "base64")).raw().toBuffer());

/** How many bytes differ, by 1: another engine may round elsewhere; where one differs by more, infinitely many. */
function bytesApart(one: Uint8Array, other: Uint8Array): number {
  const apart = one.map((value, i) => Math.abs(value - other[i]!));
  return Math.max(...apart) > 1 ? Infinity : apart.reduce((sum, value) => sum + value, 0);
}

test("answers while it draws, goes on when what draws is killed, and ends after what it accepted", async () => {
  const server = await serving("serve", START, "--processes", "1");
  const asked = post(server, { condition: EXAMPLE, samples: 24, seed: 1 }, { accept: "application/x-ndjson" });
  const reader = (await asked).body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const readUntil = async (part: string) => {
    while (!text.includes(part)) {
      const { done, value } = await reader.read();
      if (done) return;
      text += value;
    }
  };
  await readUntil('"image"'); // the first batch is drawn, the second is being drawn
  const health = healthAnswer.parse(await (await fetch(`${server.url}healthz`)).json());
  expect([health.status, health.drawing + health.waiting > 0]).toEqual(["ok", true]);
  for (const pid of drawersOf(server.child.pid!)) process.kill(Number(pid), "SIGKILL");
  await server.said("lost");
  server.child.kill("SIGTERM");
  await readUntil('"done"');
  const events = text
    .trim()
    .split("\n")
    .map((line) => imageEvent.parse(JSON.parse(line)));
  const images = events.flatMap((event) => (event.event === "image" ? [event] : []));
  expect(images.map(({ sample }) => sample).sort((a, b) => a - b)).toEqual(Array.from({ length: 24 }, (_, i) => i));
  await using generator = await ImageGenerator.load(START);
  const [expected] = await generator.draw([start.examples[0]!], { samples: 24, seed: 1 });
  for (const { sample, png } of images)
    expect(bytesApart(await pixelsOf(png), expected![sample]!), `sample ${sample}`).toBeLessThan(4);

  const { code, out, err } = await server.ended;
  expect([code, err]).toEqual([0, ""]);
  expect(out).toContain('"draining"');
});

test("a second signal ends it at once, and what draws with it", async () => {
  const server = await serving("serve", START, "--processes", "1");
  const [drawer] = drawersOf(server.child.pid!);
  const asked = post(server, { condition: EXAMPLE, samples: 64 }).then(
    () => "answered",
    () => "broken off",
  );
  while (healthAnswer.parse(await (await fetch(`${server.url}healthz`)).json()).drawing === 0);
  server.child.kill("SIGTERM");
  await server.said("draining");
  server.child.kill("SIGTERM");
  expect((await server.ended).signal).toBe("SIGTERM");
  expect(await asked).toBe("broken off");
  const alive = () => execFileSync("ps", ["-A", "-o", "pid="], { encoding: "utf8" }).split(/\s+/).includes(drawer!);
  while (alive()) await new Promise((resolve) => setTimeout(resolve, 20));
});

test("studio says the address where there is no display, with what lets a browser in", async () => {
  const token = "a long enough token";
  const server = await serving("studio", START, "--processes", "1", "--token", token);
  await server.said('"open"');
  const events = server.text.out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const { url } = events.find(({ event }) => event === "open");
  expect(url).toBe(`${server.url}?token=a+long+enough+token`);
  const entry = await fetch(url, { redirect: "manual" });
  expect(entry.status).toBe(303);
  const answer = await post(server, { condition: EXAMPLE }, { authorization: `Bearer ${token}` });
  expect(imagesAnswer.parse(await answer.json()).images).toHaveLength(1);
  server.child.kill("SIGTERM");
  expect((await server.ended).code).toBe(0);
});

test.each<[what: string, args: () => string[], message: RegExp]>([
  ["others without a token", () => [START, "--host", "0.0.0.0"], /a token is needed.*IQVAE_TOKEN/],
  ["a token that is too short", () => [START, "--token", "secret"], /6 characters, but 16/],
  ["no model at all", () => [workspace.at("nothing")], /no run in .*nothing/],
  ["two models of one name", () => [START, START], /both named start/],
  [
    "a model with half its weights",
    () => {
      cpSync(START, workspace.at("half"), { recursive: true });
      truncateSync(workspace.at("half", "model.safetensors"), 1000);
      return [workspace.at("half"), "--port", "0", "--processes", "1"];
    },
    /model\.safetensors: it has 1000 bytes/,
  ],
])("does not start for %s", async (_, args, message) => {
  const { code, out, err } = await workspace.run("serve", ...args());
  expect([code, out, err]).toEqual([1, "", expect.stringMatching(message)]);
});

test("does not start at a port that is taken", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => other.on("listening", resolve));
  const { port } = other.address() as { port: number };
  const { code, err } = await workspace.run("serve", START, "--port", String(port));
  expect([code, err]).toEqual([1, expect.stringContaining(`port ${port} of 127.0.0.1: another program does`)]);
  other.close();
});
