import { createReadStream, readFileSync, statSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Browser, chromium } from "playwright-core";
import { build, type Rollup } from "vite";
import { findChromium } from "../../../../scripts/chromium.mjs";

/** Ends what hangs, in milliseconds: a machine may be slow, and others may use it. */
export const PATIENCE = 180_000;

/** @throws Error where there is none, with what to do */
export async function launch(args: readonly string[] = []): Promise<Browser> {
  const executablePath = findChromium();
  if (executablePath === undefined)
    throw new Error("no Chromium was found: npm test installs one where it can, or name one by the variable CHROMIUM");
  // A sandbox needs what containers do not have; the pages are ours.
  return await chromium.launch({ executablePath, args: ["--no-sandbox", ...args], timeout: PATIENCE });
}

/** Bundles a module of the package, or of its tests, as a page would have it. @returns files by name */
export async function bundle(entry: string): Promise<Map<string, Uint8Array>> {
  const result = await build({
    root: fileURLToPath(new URL(".", import.meta.url)),
    configFile: false,
    logLevel: "error",
    base: "./",
    worker: { format: "es" },
    build: {
      write: false,
      target: "es2022",
      minify: true,
      rollupOptions: {
        input: fileURLToPath(new URL(entry, import.meta.url)),
        preserveEntrySignatures: "strict",
        output: { entryFileNames: "main.js" },
      },
    },
  });
  const { output } = (Array.isArray(result) ? result[0] : result) as Rollup.RollupOutput;
  return new Map(
    output.map((file) => {
      const content = file.type === "chunk" ? file.code : file.source;
      return [file.fileName, typeof content === "string" ? new TextEncoder().encode(content) : content];
    }),
  );
}

const TYPES: Readonly<Record<string, string>> = {
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".wasm": "application/wasm",
  ".json": "application/json",
};
const onnxruntime = fileURLToPath(new URL("../../../../node_modules/onnxruntime-web/dist", import.meta.url));

/** A host of files, with none of the headers that some engines need; it tells what was asked of it. */
export class Host {
  /** Files by path. */
  readonly files = new Map<string, Uint8Array>();
  /** Paths that were asked for, in their order. */
  readonly asked: string[] = [];
  /** Answers in the place of files, by path. */
  readonly instead = new Map<string, (request: IncomingMessage, response: ServerResponse) => void>();
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  static async start(): Promise<Host> {
    const host = new Host();
    await new Promise<void>((resolve) => host.#server.listen(0, "127.0.0.1", resolve));
    host.files.set(
      "/",
      new TextEncoder().encode("<!doctype html><title>runtime</title><script type=module src=main.js></script>"),
    );
    for (const [name, bytes] of await bundle("pages/test-page.ts")) host.files.set(`/${name}`, bytes);
    return host;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Serves the files of a folder; @returns its address */
  serve(name: string, files: Readonly<Record<string, Uint8Array>>): string {
    for (const [file, bytes] of Object.entries(files)) this.files.set(`/${name}/${file}`, bytes);
    return `${this.url}/${name}`;
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = new URL(request.url!, this.url).pathname;
    this.asked.push(path);
    const instead = this.instead.get(path);
    if (instead !== undefined) {
      instead(request, response);
      return;
    }
    const type = TYPES[extname(path)] ?? "text/html";
    const bytes = this.files.get(path);
    if (bytes !== undefined) response.writeHead(200, { "content-type": type, "cache-control": "no-store" }).end(bytes);
    else if (path.startsWith("/onnxruntime/")) {
      const file = join(onnxruntime, path.slice("/onnxruntime/".length));
      response.writeHead(200, { "content-type": type, "content-length": statSync(file).size });
      createReadStream(file).pipe(response);
    } else response.writeHead(404).end();
  }
}

/** A file beside the tests. */
export const textOf = (name: string): string => readFileSync(new URL(`../${name}`, import.meta.url), "utf8");
