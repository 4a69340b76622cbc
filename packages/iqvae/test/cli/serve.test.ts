import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, readdirSync, symlinkSync, truncateSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ImageGenerator } from "@iqvae/runtime";
import { Command } from "commander";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { servingOf, withServerOptions } from "../../src/cli/serve.ts";
import { healthAnswer, imageEvent, imagesAnswer } from "../../src/serve/api.ts";
import { LIMITS } from "../../src/serve/limits.ts";
import { EXAMPLE, post, START, start } from "../serve/support.ts";
import { program, Workspace } from "./program.ts";

const REPOSITORY = fileURLToPath(new URL("../../../..", import.meta.url));
const MODELS = join(REPOSITORY, "models");

const workspace = new Workspace();
beforeAll(() => {
  if (!existsSync(join(REPOSITORY, "apps/studio/dist/index.html")))
    execFileSync("npm", ["run", "build", "--workspace", "apps/studio"], { cwd: REPOSITORY });
});
afterAll(() => workspace.remove());

/** Starts `iqvae COMMAND … --json`; resolves once it serves. */
async function serving(command: "serve" | "studio", ...args: string[]) {
  const started = workspace.start(command, ...args, "--port", "0", "--json");
  await started.said('"serving"');
  const [, url] = /"url":"([^"]+)"/.exec(started.text.out) ?? [];
  if (url === undefined) throw new Error(`it does not serve: ${started.text.out}${started.text.err}`);
  return { ...started, url };
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
  const drawers = drawersOf(server.child.pid!).map(Number);
  const asked = post(server, { condition: EXAMPLE, samples: 40, seed: 1 }, { accept: "application/x-ndjson" });
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
  for (const pid of drawers) process.kill(pid, "SIGSTOP"); // or it could be through before it is lost
  const health = healthAnswer.parse(await (await fetch(`${server.url}healthz`)).json());
  expect([health.status, health.drawing + health.waiting > 0]).toEqual(["ok", true]);
  for (const pid of drawers) process.kill(pid, "SIGKILL");
  await server.said("lost");
  server.child.kill("SIGTERM");
  await readUntil('"done"');
  const events = text
    .trim()
    .split("\n")
    .map((line) => imageEvent.parse(JSON.parse(line)));
  const images = events.flatMap((event) => (event.event === "image" ? [event] : []));
  expect(images.map(({ sample }) => sample).sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, i) => i));
  await using generator = await ImageGenerator.load(START);
  const [expected] = await generator.draw([start.examples[0]!], { samples: 40, seed: 1 });
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

test("studio is always at one address, and at another only where that is taken, saying so", async () => {
  const other = createServer();
  const listens = () =>
    new Promise((resolve) => {
      const settle = () => resolve(other.off("listening", settle).off("error", settle).listening);
      other.once("listening", settle).once("error", settle).listen(7878, "127.0.0.1");
    });
  // Another run of the tests gives it back soon; whoever has it after half a minute keeps it, and it is taken, too.
  for (let i = 0; i < 300 && !(await listens()); i++) await new Promise((resolve) => setTimeout(resolve, 100));
  const { text, child, ended, said } = workspace.start("studio", START, "--processes", "1");
  await said("Serving start at http://127.0.0.1:");
  expect(text.out).toContain("Port 7878 is taken, so another is used");
  child.kill("SIGTERM");
  expect((await ended).code).toBe(0);
  const asked = await workspace.run("studio", START, "--port", "7878");
  expect([asked.code, asked.err]).toEqual([1, expect.stringContaining("port 7878 of 127.0.0.1: another program does")]);
  other.close();
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

describe("iqvae start", () => {
  /** Whether Python can give a program a terminal. */
  const terminals = spawnSync("python3", ["-c", "import pty"]).status === 0;
  const IN_TERMINAL = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
  const SHORT = ["stage1.steps=6", "stage1.warmup=0", "stage2.steps=2", "stage2.warmup=0"];
  const command = ["start", "--preset", "tiny", ...SHORT.flatMap((setting) => ["--set", setting])];

  test.skipIf(!terminals)(
    "in a terminal ends with the studio, which has the model that it trained beside those that come with the program",
    async () => {
      const env = { ...workspace.env, DISPLAY: "", WAYLAND_DISPLAY: "", WSL_DISTRO_NAME: "" };
      const child = spawn("python3", ["-c", IN_TERMINAL, process.execPath, program, ...command], {
        cwd: workspace.path,
        env,
      });
      let out = "";
      const ended = once(child, "close");
      const opened = new Promise<string>((resolve, reject) => {
        child.stdout.on("data", (data) => {
          out += data;
          const [, url] = /Open (http\S+) in a browser/.exec(out) ?? [];
          if (url !== undefined) resolve(url);
        });
        child.on("close", () => reject(new Error(`it ended before it opened the studio:\n${out}`)));
      });
      const url = await opened;
      expect(url === "http://127.0.0.1:7878/" || out.includes("Port 7878 is taken")).toBe(true);
      const list = (await (await fetch(`${url}models/models.json`)).json()) as { models: { name: string }[] };
      const names = list.models.map(({ name }) => name);
      expect(names).toEqual([...readdirSync(MODELS).sort(), "my-tiny"]);
      expect(await (await fetch(url)).text()).toContain("<html");
      expect(await (await fetch(`${url}models/my-tiny/README.md`)).text()).toContain("\n# my-tiny\n");
      const answer = await post({ url }, { model: "my-tiny", condition: EXAMPLE });
      expect(imagesAnswer.parse(await answer.json()).images).toHaveLength(1);
      child.stdin.write("\x03");
      const [code] = await ended;
      expect([code, out]).toEqual([0, expect.stringContaining("my-tiny")]);
    },
  );

  test("elsewhere ends when it has drawn, and says how to get there, where studio shows the run", async () => {
    const { code, out } = await workspace.run(...command);
    expect([code, out]).toEqual([0, expect.stringContaining("npm run studio")]);
    const studio = await serving("studio", "runs/tiny", "--processes", "1");
    const { models } = (await (await fetch(`${studio.url}models/models.json`)).json()) as { models: unknown };
    expect(models).toMatchObject([{ name: "my-tiny", kind: "semantic" }]);
    studio.child.kill("SIGTERM");
    await studio.ended;
    const server = await serving("serve", "runs/tiny", "--processes", "1");
    await server.said('"not on the page","models":["tiny"]');
    server.child.kill("SIGTERM");
    await server.ended;
  });
});

test("where the page is not built, serve says how, and studio does not start", async () => {
  // The program in a clone that has it compiled, and no page.
  const clone = workspace.at("clone");
  const own = join(REPOSITORY, "packages/iqvae");
  for (const part of ["bin", "dist", "package.json"])
    cpSync(join(own, part), join(clone, "packages/iqvae", part), { recursive: true });
  symlinkSync(join(REPOSITORY, "node_modules"), join(clone, "node_modules"));
  const run = (...args: string[]) =>
    spawn(process.execPath, [join(clone, "packages/iqvae/bin/iqvae.mjs"), ...args, START, "--port", "0"], {
      cwd: workspace.path,
      env: workspace.env,
    });
  const build = "npm run build -w apps/studio";

  const server = run("serve");
  const served = once(server, "close");
  let out = "";
  for await (const data of server.stdout) {
    const before = out.includes(build);
    out += data;
    if (!before && out.includes(build)) server.kill("SIGTERM");
  }
  expect([(await served)[0], out]).toEqual([0, expect.stringContaining(build)]);

  const studio = run("studio");
  const closed = once(studio, "close");
  let err = "";
  for await (const data of studio.stderr) err += data;
  expect([(await closed)[0], err]).toEqual([1, expect.stringContaining(build)]);
});

test.each<[what: string, args: () => string[], message: RegExp]>([
  ["others without a token", () => [START, "--host", "0.0.0.0"], /a token is needed.*IQVAE_TOKEN/],
  ["a token that is too short", () => [START, "--token", "secret"], /6 characters, but 16/],
  ["no model at all", () => [workspace.at("nothing")], /no run in .*nothing/],
  ["two models of one name", () => [START, START], /both named start/],
])("does not start for %s", async (_, args, message) => {
  const { code, out, err } = await workspace.command("serve", ...args());
  expect([code, out, err]).toEqual([1, "", expect.stringMatching(message)]);
});

test("does not start for a model with half its weights", async () => {
  cpSync(START, workspace.at("half"), { recursive: true });
  truncateSync(workspace.at("half", "model.safetensors"), 1000);
  // In a process of its own, which ends only if those that draw have ended.
  const { code, out, err } = await workspace.run("serve", workspace.at("half"), "--port", "0", "--processes", "1");
  expect([code, out, err]).toEqual([1, "", expect.stringMatching(/model\.safetensors: it has 1000 bytes/)]);
});

test("options say what a server allows; without, it is what is usual", () => {
  const parsed = (args: string) =>
    servingOf(withServerOptions(new Command()).parse(args.split(" "), { from: "user" }).opts());
  const limits = "--max-body 2048 --max-samples 3 --max-pixels 5 --max-queue 7 --timeout 0.5 --batch 11";
  expect(parsed(`--host ::1 --port 80 --token secret --processes 2 ${limits}`)).toEqual({
    ...{ host: "::1", port: 80, token: "secret", processes: 2 },
    limits: { body: 2048, samples: 3, pixels: 5, queue: 7, seconds: 0.5, batch: 11 },
  });
  expect(parsed("--port 0").limits).toEqual(LIMITS);
});

test("does not start at a port that is taken", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => other.on("listening", resolve));
  const { port } = other.address() as { port: number };
  const { code, err } = await workspace.run("serve", START, "--port", String(port));
  expect([code, err]).toEqual([1, expect.stringContaining(`port ${port} of 127.0.0.1: another program does`)]);
  other.close();
});
