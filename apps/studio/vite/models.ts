import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Plugin } from "vite";

/** One model of `models/models.json`: what the page shows of it before it loads it. */
export interface ModelEntry {
  /** Its folder beside `models.json`. */
  readonly name: string;
  readonly kind: string;
  /** Pixels a side. */
  readonly size: number;
  /** Of the weights, to download. */
  readonly bytes: number;
}

/** What the page fetches of a model: the graphs are for other runtimes. */
const FETCHED = ["model.json", "model.safetensors", "README.md", "samples.png"];

/** The list of the exported models in a folder. */
export function listModels(folder: string): ModelEntry[] {
  const names = existsSync(folder) ? readdirSync(folder).sort() : [];
  return names
    .filter((name) => existsSync(join(folder, name, "model.json")))
    .map((name) => {
      const model = JSON.parse(readFileSync(join(folder, name, "model.json"), "utf8"));
      return { name, kind: model.condition.kind, size: model.size, bytes: model.files["model.safetensors"].bytes };
    });
}

/** Puts exported models beside the page, with a list of them: in the built folder, and in front of the development server. */
export function models(folder: string): Plugin {
  const json = () => `${JSON.stringify({ models: listModels(folder) }, null, 1)}\n`;
  return {
    name: "models",
    configureServer(server) {
      server.middlewares.use((request, response, next) => {
        const path = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname);
        if (path === "/models/models.json") {
          response.setHeader("content-type", "application/json");
          response.end(json());
          return;
        }
        const file = resolve(folder, path.slice("/models/".length));
        if (!path.startsWith("/models/") || !file.startsWith(resolve(folder)) || !existsSync(file)) next();
        else if (statSync(file).isFile()) createReadStream(file).pipe(response);
        else next();
      });
    },
    generateBundle() {
      this.emitFile({ type: "asset", fileName: "models/models.json", source: json() });
      for (const { name } of listModels(folder))
        for (const file of FETCHED.filter((each) => existsSync(join(folder, name, each)))) {
          const source = readFileSync(join(folder, name, file));
          this.emitFile({ type: "asset", fileName: `models/${name}/${file}`, source });
        }
    },
  };
}
