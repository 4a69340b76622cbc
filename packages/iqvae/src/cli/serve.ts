import { availableParallelism } from "node:os";
import { Command, Option } from "commander";
import { openModels, type ServedModel } from "../serve/catalog.ts";
import { LIMITS, type Limits } from "../serve/limits.ts";
import { type RunningServer, type ServerOptions, startServer } from "../serve/server.ts";
import { Interrupt } from "../support/interrupt.ts";
import { kernelsAreBuilt } from "../support/kernels.ts";
import type { Progress } from "../support/progress.ts";
import { consoleProgress } from "./console.ts";
import { numberAbove, optionsOf, whole } from "./options.ts";
import { shipped } from "./shipped.ts";

export interface ServeOptions {
  readonly host: string;
  readonly port: number;
  readonly token?: string;
  readonly processes?: number;
  readonly maxBody: number;
  readonly maxSamples: number;
  readonly maxPixels: number;
  readonly maxQueue: number;
  readonly timeout: number;
  readonly batch: number;
}

/** What a server is started with. */
export interface Serving {
  readonly host: string;
  readonly port: number;
  /** Whether any port that is free will do where that one is taken. */
  readonly anyPort?: boolean;
  readonly token?: string;
  /** Processes that draw; as many as are usual unless it is said. */
  readonly processes?: number;
  readonly limits: Limits;
}

/** Always the same one, unless another is asked for: browsers keep work by address. */
export const PORT = 7878;

/** Seconds that a server that was asked to end goes on with what it accepted. */
const GRACE = 30;

export function serveCommand(): Command {
  const command = new Command("serve").description("answer requests for images over HTTP, with a page to paint on");
  return withServerOptions(command).action(async (paths: string[], _: unknown, self: Command) => {
    const options = optionsOf<ServeOptions>(self);
    const progress = consoleProgress(options);
    await serveUntilAsked(paths, servingOf(options), progress, async (_, models) => tellOfPage(models, progress));
  });
}

/** Says what the page to paint on does not have. */
function tellOfPage(models: ReadonlyMap<string, ServedModel>, progress: Progress): void {
  const runs = [...models.values()].flatMap(({ kind, name }) => (kind === "run" ? [name] : []));
  if (page() === undefined) {
    const text = `Only the API is there, since the page to paint on is not built. To have both: ${BUILD_PAGE}`;
    progress.tell(text, { event: "no page", build: BUILD_PAGE });
  } else if (runs.length > 0) {
    const text = `The page is without ${runs.join(", ")}: browsers draw with exported models only. npx iqvae studio exports runs first.`;
    progress.tell(text, { event: "not on the page", models: runs });
  }
}

/** The options that are common to `serve` and `studio`. */
export function withServerOptions(command: Command): Command {
  return command
    .argument("[models...]", "folders that export wrote, folders of those, runs, or names in runs/ (default: models)")
    .option("--host <address>", "whom to listen for; all but this machine itself need a token", "127.0.0.1")
    .option("--port <number>", "0 for any that is free", whole(0, 65_535), PORT)
    .addOption(
      new Option(
        "--token <text>",
        "what clients have to send; better set by the variable, because others may see options",
      ).env("IQVAE_TOKEN"),
    )
    .option(
      "--processes <count>",
      "processes that draw (default: 1 with libtorch, else one a core, less one)",
      whole(1, 256),
    )
    .option("--max-body <bytes>", "of a request", whole(1024), LIMITS.body)
    .option("--max-samples <images>", "of a request", whole(1), LIMITS.samples)
    .option("--max-pixels <count>", "of all images of a request", whole(1), LIMITS.pixels)
    .option("--max-queue <images>", "that wait; then there is 429", whole(1), LIMITS.queue)
    .option("--timeout <seconds>", "from a request to the end of its answer", numberAbove(0, 86_400), LIMITS.seconds)
    .option("--batch <images>", "that are drawn at once", whole(1, 256), LIMITS.batch);
}

/**
 * Serves until a signal asks for the end.
 *
 * @param onReady called when the server answers, with the address for a browser, and what is served
 */
export async function serveUntilAsked(
  paths: readonly string[],
  { host, port, anyPort = false, token, processes = usualProcesses(), limits }: Serving,
  progress: Progress,
  onReady: (url: string, models: ReadonlyMap<string, ServedModel>) => Promise<void>,
): Promise<void> {
  const models = openModels(paths.length > 0 ? paths : [defaultModels()]);
  let wake = () => {};
  const asked = new Promise<void>((resolve) => {
    wake = resolve;
  });
  const interrupt = new Interrupt(() => wake());
  try {
    const options: ServerOptions = {
      models,
      host,
      port,
      token: token === "" ? undefined : token,
      drawers: processes,
      limits,
      page: page(),
      log: (sentence) => progress.tell(sentence, { event: "log", message: sentence }),
    };
    const server = await (anyPort ? startAnywhere(options, progress) : startServer(options));
    const names = [...models.keys()];
    progress.tell(`Serving ${names.join(", ")} at ${server.url} (Ctrl-C ends it)`, {
      event: "serving",
      url: server.url,
      models: names,
      engines: server.queue.engines,
      processes,
    });
    await onReady(forBrowser(server.url, token), models);
    await asked;
    const { waiting, drawing } = server.queue.load;
    progress.tell(`Ending; ${waiting + drawing} images are still to be drawn. Again to end at once.`, {
      event: "draining",
      waiting,
      drawing,
    });
    await server.drain(GRACE);
  } finally {
    interrupt.close();
  }
}

/** Starts at another port where that one is taken, and says so: browsers keep work by address. */
async function startAnywhere(options: ServerOptions, progress: Progress): Promise<RunningServer> {
  try {
    return await startServer(options);
  } catch (error) {
    if (((error as Error).cause as NodeJS.ErrnoException | undefined)?.code !== "EADDRINUSE") throw error;
    const text = `Port ${options.port} is taken, so another is used; work that a browser kept there is not at the new address.`;
    progress.tell(text, { event: "port taken", port: options.port });
    return await startServer({ ...options, port: 0 });
  }
}

/** Options of the command line as what they mean. */
export function servingOf(options: ServeOptions): Serving {
  const { host, port, token, processes } = options;
  const { maxBody, maxSamples, maxPixels, maxQueue, timeout, batch } = options;
  return {
    host,
    port,
    ...(token !== undefined && { token }),
    ...(processes !== undefined && { processes }),
    limits: { body: maxBody, samples: maxSamples, pixels: maxPixels, queue: maxQueue, seconds: timeout, batch },
  };
}

/** libtorch uses all cores by itself, the kernels of `@iqvae/runtime` one; one is left to answer requests. */
function usualProcesses(): number {
  return kernelsAreBuilt() ? 1 : Math.max(1, availableParallelism() - 1);
}

/** The models that come with the program. @throws Error where they do not */
function defaultModels(): string {
  const models = shipped("models");
  if (models !== undefined) return models;
  throw new Error("No model was named. Name a folder that export wrote, or a run: npx iqvae serve runs/start");
}

/** The address to open: 0.0.0.0 and :: are all addresses of a machine, and none to go to. */
function forBrowser(address: string, token: string | undefined): string {
  const url = new URL(address);
  if (["0.0.0.0", "[::]"].includes(url.hostname)) url.hostname = "localhost";
  if (token !== undefined && token !== "") url.searchParams.set("token", token);
  return url.href;
}

/** What to type where the page is not built, which is so in a fresh clone only: packages have it. */
const BUILD_PAGE = "npm run build -w apps/studio";

/** @throws Error where the page is not built, with what to type */
export function expectPage(): void {
  if (page() === undefined) throw new Error(`The page is not built. Build it: ${BUILD_PAGE}`);
}

/** The page, once it is built. */
export function page(): string | undefined {
  return shipped("page", "index.html") ?? shipped("apps/studio/dist", "index.html");
}
