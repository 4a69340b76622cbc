import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type ModelName, writeModels } from "./models.ts";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".woff2": "font/woff2",
};

/** The built page with models, on a plain host of files: none of the headers that some engines need. */
export interface Site {
  readonly url: string;
  /** The folder of the models, as the page fetches them. */
  readonly models: string;
  /** Answers in the place of files, by path; where one gives nothing, the file is sent after all. */
  readonly instead: Map<string, (response: ServerResponse) => unknown>;
  /** Bytes that were sent, by path. */
  readonly sent: Map<string, number>;
  /** Puts another build in the place of this one: the same page, whose files have other names. */
  rebuild(): void;
  /** Answers nobody any more. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

/** @param at where on the host it is */
export async function openSite(names: readonly (ModelName | "start")[], at = "/"): Promise<Site> {
  const folder = mkdtempSync(join(tmpdir(), "studio-"));
  const [models, dist] = [join(folder, "models"), join(folder, "dist")];
  writeModels(models, names);
  build(models, dist);
  const instead: Site["instead"] = new Map();
  const sent: Site["sent"] = new Map();
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url!, "http://localhost").pathname).replace(at, "/");
    const file = join(dist, path.endsWith("/") ? `${path}index.html` : path);
    if (instead.get(path)?.(response) !== undefined) return;
    if (existsSync(file) && statSync(file).isFile()) {
      const bytes = readFileSync(file);
      sent.set(path, (sent.get(path) ?? 0) + bytes.length);
      // Hosts let browsers keep the page for a while.
      const age = path === "/" ? { "cache-control": "max-age=600" } : {};
      const type = TYPES[extname(file)] ?? "application/octet-stream";
      response.writeHead(200, { "content-type": type, ...age }).end(bytes);
    } else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${at}`;
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  const close = async () => {
    await stop();
    rmSync(folder, { recursive: true });
  };
  return { url, models: join(dist, "models"), instead, sent, rebuild: () => rename(dist), stop, close };
}

/** Gives files with hashes in their names other ones, also where they are named. */
function rename(dist: string): void {
  const assets = join(dist, "assets");
  const hashes = readdirSync(assets).map((name) => /-([\w-]{8})\.\w+$/.exec(name)![1]!);
  const renamed = (text: string) => hashes.reduce((all, hash) => all.replaceAll(hash, hash.replace(/./, "_")), text);
  for (const name of readdirSync(assets)) renameSync(join(assets, name), join(assets, renamed(name)));
  const files = [...readdirSync(assets).map((name) => join("assets", name)), "index.html", "service-worker.js"];
  for (const file of files.map((name) => join(dist, name)).filter((name) => /\.(js|css|html)$/.test(name)))
    writeFileSync(file, renamed(readFileSync(file, "utf8")).replace(/(?<=const SHELL = .*\})/, "another "));
}

/** In a process of its own: Vite builds for what NODE_ENV says, and vitest says "test". */
function build(models: string, dist: string): void {
  const { NODE_ENV: _, VITEST: __, ...env } = process.env;
  const vite = fileURLToPath(new URL("../../../node_modules/vite/bin/vite.js", import.meta.url));
  const cwd = fileURLToPath(new URL("..", import.meta.url));
  const args = [vite, "build", "--logLevel", "error", "--outDir", dist, "--emptyOutDir"];
  execFileSync(process.execPath, args, { cwd, env: { ...env, STUDIO_MODELS: models }, stdio: "inherit" });
}
