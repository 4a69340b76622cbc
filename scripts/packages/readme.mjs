// Runs the code of the READMEs of the installed packages, in the folder that they were installed in; `--native` where libtorch is there.
// Prints how many blocks it ran, as JSON. Left out is what needs a browser, or an engine of another's.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const MODEL = "node_modules/iqvae/models/start/";
/** What the text around a block says is there. */
const GIVEN = `import { ImageGenerator as Given } from "@iqvae/runtime";
const { examples: [map] } = await Given.load("${MODEL}");
const show = () => {};
const paint = () => {};
`;
const ELSEWHERE = /WorkerGenerator|onnxruntime/;

const ran = {};
for (const name of ["iqvae", "@iqvae/runtime", "@iqvae/torch"]) {
  const text = readFileSync(`node_modules/${name}/README.md`, "utf8");
  const blocks = [...text.matchAll(/^```ts\n(.*?)^```$/gms)]
    .map(([, block]) => block.replace(/"(?:runs\/tiny\/export|\/models\/faces\/)"/, JSON.stringify(MODEL)))
    .filter(
      (block) => !ELSEWHERE.test(block) && (process.argv.includes("--native") || !block.includes("@iqvae/torch")),
    );
  ran[name] = blocks.length;
  for (const [i, block] of blocks.entries()) {
    const file = `readme-${name.replace(/\W/g, "")}-${i}.mjs`;
    writeFileSync(file, `${/\bmap\b/.test(block) ? GIVEN : ""}${block}`);
    // What it prints is not the line that is read.
    console.log = console.error;
    await import(pathToFileURL(file).href);
    rmSync(file);
  }
}
process.stdout.write(`${JSON.stringify(ran)}\n`);
