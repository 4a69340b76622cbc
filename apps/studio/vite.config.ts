import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import { licenses } from "./vite/licenses.ts";
import { models } from "./vite/models.ts";
import { offline } from "./vite/offline.ts";

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url));

// The page is served from any folder of any host, so all its addresses are relative.
export default defineConfig({
  root: path("."),
  base: "./",
  plugins: [
    models(process.env.STUDIO_MODELS ?? path("../../models")),
    licenses(
      ["@fontsource-variable/instrument-sans", "fast-png", "fflate", "iobuffer", "marked"].map((name) =>
        path(`../../node_modules/${name}`),
      ),
    ),
    offline(path("offline/service-worker.js")),
  ],
  // The runtime is taken from its sources, and is no dependency in package.json: with it npm would install ONNX Runtime, 400 MB.
  resolve: { alias: { "@iqvae/runtime": path("../../packages/runtime/src/index.ts") } },
  worker: { format: "es" },
  build: { target: "es2022", outDir: path("dist"), emptyOutDir: true },
  server: { port: 4180 },
  preview: { port: 4180 },
});
