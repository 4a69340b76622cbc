import { rmSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import open from "open";
import { exportRun } from "../export/bundle.ts";
import { nameOf, openRun, type RunFolder } from "../run/run-folder.ts";
import { openModels } from "../serve/catalog.ts";
import type { Progress } from "../support/progress.ts";
import { consoleProgress } from "./console.ts";
import { optionsOf } from "./options.ts";
import { expectPage, type ServeOptions, type Serving, serveUntilAsked, servingOf, withServerOptions } from "./serve.ts";

export function studioCommand(): Command {
  const command = new Command("studio").description("open a page to paint on, served by this machine");
  return withServerOptions(command)
    .option("--no-open", "say the address, and open no browser")
    .action(async (paths: string[], _: unknown, self: Command) => {
      const options = optionsOf<ServeOptions & { readonly open: boolean }>(self);
      expectPage();
      const anyPort = self.getOptionValueSource("port") === "default";
      const serving = { ...servingOf(options), anyPort, open: options.open };
      await serveStudio(paths, serving, consoleProgress(options));
    });
}

/** Serves models with the page, and opens it in a browser or says its address, until a signal asks for the end. */
export async function serveStudio(
  paths: readonly string[],
  { open, ...serving }: Serving & { readonly open: boolean },
  progress: Progress,
): Promise<void> {
  const shown: string[] = [];
  for (const path of paths) shown.push(await forPage(path, progress));
  await serveUntilAsked(shown, serving, progress, async (url) => {
    if (open && hasDisplay() && (await opens(url))) return;
    progress.tell(`Open ${url} in a browser.`, { event: "open", url });
  });
}

/** Browsers draw with exported models only. */
async function forPage(path: string, progress: Progress): Promise<string> {
  const [model] = openModels([path]).values();
  return model?.kind === "run" ? await exportForPage(openRun(path), progress) : path;
}

/**
 * Exports a run for the page, into its own folder, under a name that no model has that comes with the program.
 *
 * @returns the folder of the exported model, which is named like it
 */
export async function exportForPage(run: RunFolder, progress: Progress): Promise<string> {
  const name = `my-${nameOf(run)}`;
  const folder = join(run.path, name);
  progress.tell(`Exporting ${run.path} for the studio, as ${name}: some seconds.`, { event: "exporting", name });
  // Of another time, maybe before it was trained on.
  rmSync(folder, { recursive: true, force: true });
  await exportRun(run, folder, "f32", progress, name);
  return folder;
}

/** Whether a browser could show anything. On Linux that is said by a variable of the desktop. */
function hasDisplay(): boolean {
  const { DISPLAY, WAYLAND_DISPLAY, WSL_DISTRO_NAME, SSH_CONNECTION } = process.env;
  if (process.platform === "linux") return [DISPLAY, WAYLAND_DISPLAY, WSL_DISTRO_NAME].some((each) => each);
  return !SSH_CONNECTION;
}

/** Opens the browser of the user. @returns whether there was something to start */
async function opens(url: string): Promise<boolean> {
  try {
    const child = await open(url);
    child.on("error", () => {});
    return true;
  } catch {
    return false;
  }
}
