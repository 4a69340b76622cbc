import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

/** Writes `licenses.txt`: the licenses of what the built page has from others. @param folders of packages */
export function licenses(folders: readonly string[]): Plugin {
  return {
    name: "licenses",
    apply: "build",
    generateBundle() {
      const texts = folders.map((folder) => {
        const { name, version } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
        const file = readdirSync(folder).find((each) => /^licen[sc]e/i.test(each));
        if (file === undefined) throw new Error(`${folder} has no license file`);
        return `${name} ${version}\n\n${readFileSync(join(folder, file), "utf8").trim()}\n`;
      });
      this.emitFile({ type: "asset", fileName: "licenses.txt", source: texts.join(`\n${"-".repeat(72)}\n\n`) });
    },
  };
}
