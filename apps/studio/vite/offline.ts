import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Plugin } from "vite";

/** Writes the service worker, with the names of all files of the page but its models. */
export function offline(source: string): Plugin {
  return {
    name: "offline",
    apply: "build",
    generateBundle: {
      order: "post",
      handler(_, bundle) {
        const hash = createHash("sha256");
        const files = Object.values(bundle).filter(({ fileName }) => !fileName.startsWith("models/"));
        for (const file of files) hash.update(file.fileName).update(file.type === "asset" ? file.source : file.code);
        const names = JSON.stringify(["./", ...files.map(({ fileName }) => fileName)]);
        const code = readFileSync(source, "utf8")
          .replace("/* files */ []", names)
          .replace("/* version */", hash.digest("hex").slice(0, 12));
        this.emitFile({ type: "asset", fileName: "service-worker.js", source: code });
      },
    },
  };
}
