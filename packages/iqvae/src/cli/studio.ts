import { Command } from "commander";
import open from "open";
import type { Progress } from "../support/progress.ts";
import { consoleProgress } from "./console.ts";
import { optionsOf } from "./options.ts";
import { expectPage, type ServeOptions, type Serving, serveUntilAsked, servingOf, withServerOptions } from "./serve.ts";

export function studioCommand(): Command {
  const command = new Command("studio").description("open a page to paint on, served by this machine");
  return withServerOptions(command, 0)
    .option("--no-open", "say the address, and open no browser")
    .action(async (paths: string[], _: unknown, self: Command) => {
      const options = optionsOf<ServeOptions & { readonly open: boolean }>(self);
      expectPage();
      await serveStudio(paths, { ...servingOf(options), open: options.open }, consoleProgress(options));
    });
}

/** Serves models with the page, and opens it in a browser or says its address, until a signal asks for the end. */
export async function serveStudio(
  paths: readonly string[],
  { open, ...serving }: Serving & { readonly open: boolean },
  progress: Progress,
): Promise<void> {
  await serveUntilAsked(paths, serving, progress, async (url) => {
    if (open && hasDisplay() && (await opens(url))) return;
    progress.tell(`Open ${url} in a browser.`, { event: "open", url });
  });
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
