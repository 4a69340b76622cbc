import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
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
  /** Answers in the place of files, by path. */
  readonly instead: Map<string, (response: ServerResponse) => void>;
  /** Bytes that were sent, by path. */
  readonly sent: Map<string, number>;
  /** Answers nobody any more. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

export async function openSite(names: readonly (ModelName | "start")[]): Promise<Site> {
  const folder = mkdtempSync(join(tmpdir(), "studio-"));
  const [models, dist] = [join(folder, "models"), join(folder, "dist")];
  writeModels(models, names);
  build(models, dist);
  const instead: Site["instead"] = new Map();
  const sent: Site["sent"] = new Map();
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url!, "http://localhost").pathname);
    const other = instead.get(path);
    const file = join(dist, path.endsWith("/") ? `${path}index.html` : path);
    if (other !== undefined) other(response);
    else if (existsSync(file) && statSync(file).isFile()) {
      const bytes = readFileSync(file);
      sent.set(path, (sent.get(path) ?? 0) + bytes.length);
      // Hosts let browsers keep the page for a while.
      const age = path === "/" ? { "cache-control": "max-age=600" } : {};
      const type = TYPES[extname(file)] ?? "application/octet-stream";
      response.writeHead(200, { "content-type": type, ...age }).end(bytes);
    } else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const stop = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  const close = async () => {
    await stop();
    rmSync(folder, { recursive: true });
  };
  return { url, models: join(dist, "models"), instead, sent, stop, close };
}

/** In a process of its own: Vite builds for what NODE_ENV says, and vitest says "test". */
function build(models: string, dist: string): void {
  const { NODE_ENV: _, VITEST: __, ...env } = process.env;
  const vite = fileURLToPath(new URL("../../../node_modules/vite/bin/vite.js", import.meta.url));
  const cwd = fileURLToPath(new URL("..", import.meta.url));
  const args = [vite, "build", "--logLevel", "error", "--outDir", dist, "--emptyOutDir"];
  execFileSync(process.execPath, args, { cwd, env: { ...env, STUDIO_MODELS: models }, stdio: "inherit" });
}
