import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join, resolve, sep } from "node:path";
import type { ConditionKind } from "@iqvae/runtime";
import type { Plugin } from "vite";
import { FRONT_MATTER } from "../src/front-matter.ts";
import { roundModel } from "./round.ts";

/** One model of `models/models.json`: what the page shows of it before it loads it. */
export interface ModelEntry {
  /** Its folder beside `models.json`. */
  readonly name: string;
  readonly kind: ConditionKind;
  /** Pixels a side. */
  readonly size: number;
  /** Of the weights, to download. */
  readonly bytes: number;
}

const [MODEL, WEIGHTS] = ["model.json", "model.safetensors"];
/** What else the page fetches of a model: the graphs are for other runtimes. */
const CARD = "README.md";
const ROUNDED =
  "> On this page its weights are rounded to 8 bits, so that a visit costs fewer bytes. The figures below are of the weights as they are " +
  "stored in the model's own folder.\n\n";

/** The list of exported models, for the page. @param texts of their `model.json`, by name */
function listOf(texts: ReadonlyMap<string, string>): string {
  const models = [...texts].map(([name, text]): ModelEntry => {
    const model = JSON.parse(text);
    return { name, kind: model.condition.kind, size: model.size, bytes: model.files[WEIGHTS].bytes };
  });
  return `${JSON.stringify({ models }, null, 1)}\n`;
}

function namesIn(folder: string): string[] {
  const names = existsSync(folder) ? readdirSync(folder).sort() : [];
  return names.filter((name) => existsSync(join(folder, name, MODEL)));
}

/**
 * Puts exported models beside the page, with a list of them: rounded to 8 bits in the built folder, as they are in front of the
 * development server.
 */
export function models(folder: string): Plugin {
  const read = (name: string, file: string) => readFileSync(join(folder, name, file), "utf8");
  return {
    name: "models",
    configureServer(server) {
      server.middlewares.use((request, response, next) => {
        const path = decodeURIComponent(new URL(request.url ?? "/", "http://localhost").pathname);
        if (path === "/models/models.json") {
          response.setHeader("content-type", "application/json");
          response.end(listOf(new Map(namesIn(folder).map((name) => [name, read(name, MODEL)]))));
          return;
        }
        const file = resolve(folder, path.slice("/models/".length));
        if (!path.startsWith("/models/") || !file.startsWith(resolve(folder) + sep) || !existsSync(file)) next();
        else if (statSync(file).isFile()) createReadStream(file).pipe(response);
        else next();
      });
    },
    generateBundle() {
      const texts = new Map<string, string>();
      for (const name of namesIn(folder)) {
        const emit = (file: string, source: string | Uint8Array) =>
          this.emitFile({ type: "asset", fileName: `models/${name}/${file}`, source });
        const before = read(name, MODEL);
        const { json, weights } = roundModel(before, readFileSync(join(folder, name, WEIGHTS)));
        texts.set(name, json);
        emit(MODEL, json);
        emit(WEIGHTS, weights);
        if (!existsSync(join(folder, name, CARD))) continue;
        const card = read(name, CARD);
        emit(CARD, json === before ? card : card.replace(FRONT_MATTER, (front) => `${front}${ROUNDED}`));
      }
      this.emitFile({ type: "asset", fileName: "models/models.json", source: listOf(texts) });
    },
  };
}
