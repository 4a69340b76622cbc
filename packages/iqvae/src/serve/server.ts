import { once, setMaxListeners } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener, type HttpBindings, RequestError } from "@hono/node-server";
import { problemOf } from "./answers.ts";
import { createApp, type Service } from "./app.ts";
import type { ServedModel } from "./catalog.ts";
import { type Drawer, startDrawer } from "./drawer/drawer.ts";
import { isLoopback } from "./guard.ts";
import { closeWithConnection } from "./hang-ups.ts";
import type { Limits } from "./limits.ts";
import { createMeters } from "./meters.ts";
import { Problem } from "./problem.ts";
import { Queue } from "./queue.ts";

export interface ServerOptions {
  readonly models: ReadonlyMap<string, ServedModel>;
  readonly host: string;
  /** 0 for any that is free. */
  readonly port: number;
  readonly token: string | undefined;
  readonly limits: Limits;
  /** Processes that draw. */
  readonly drawers: number;
  /** The built page, where there is one. */
  readonly page: string | undefined;
  /** What whoever runs the server should know. */
  readonly log: (sentence: string) => void;
  /** What draws; for tests. Default: a process. */
  readonly start?: (onLost: (reason: string) => void) => Promise<Drawer>;
  /** Milliseconds, {@link IDLE_TIMEOUT} by default; for tests. */
  readonly idle?: number;
}

/** A server that answers. */
export interface RunningServer {
  readonly url: string;
  readonly queue: Queue;
  /**
   * Accepts nothing any more, draws what was accepted, and ends.
   *
   * @param seconds until what is left is given up
   */
  drain(seconds: number): Promise<void>;
}

/** Milliseconds for the head of a request, and for all of it: a client that sends slowly keeps a connection, no more. */
const HEADERS_TIMEOUT = 10_000;
const REQUEST_TIMEOUT = 30_000;
/** Milliseconds that a client may read nothing of its answer, beyond the time that its images may take. */
const IDLE_TIMEOUT = 120_000;
/** Seconds to tell clients that they are given up. */
const FAREWELL = 1;
/** Beyond these, connections are refused. */
const MOST_CONNECTIONS = 1024;

/** The least length of a token; what is shorter can be guessed. */
export const TOKEN_LENGTH = 16;

/**
 * Starts a server.
 *
 * @throws Error for an address that others could reach without a token, and for one that cannot be listened at; DrawerError for a
 *   model that cannot be loaded
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const { models, host, port, token, limits, drawers, page, log } = options;
  checkToken(host, token);
  const meters = createMeters((reason) => log(`What draws was lost (${reason}); it is started again.`));
  const ended = new AbortController();
  setMaxListeners(0, ended.signal); // each request listens
  let draining = false;
  let answer = listener(whileStarting);
  // The address first: whether it can be had is known at once, and whether the models can be loaded is not.
  const server = createServer((request, response) => answer(request, response));
  closeWithConnection(server);
  const timeout = 1000 * limits.seconds + (options.idle ?? IDLE_TIMEOUT);
  Object.assign(server, { headersTimeout: HEADERS_TIMEOUT, requestTimeout: REQUEST_TIMEOUT, timeout });
  server.maxConnections = MOST_CONNECTIONS;
  await listen(server, host, port);
  const start = options.start ?? ((onLost) => startDrawer([...models.values()], onLost));
  const queue = await Queue.open(start, drawers, limits, meters).catch((error) => {
    server.close();
    throw error;
  });
  meters.watch(() => queue.load);
  const service: Service = {
    models,
    queue,
    meters,
    limits,
    token,
    page,
    ended: ended.signal,
    isDraining: () => draining,
    onFault: (error) => log(error.stack ?? String(error)),
  };
  const { fetch } = createApp(service);
  answer = listener((request, env) => fetch(request, env as HttpBindings));
  const drain = async (seconds: number) => {
    draining = true;
    const closed = once(server, "close");
    server.close();
    server.closeIdleConnections();
    const done = Promise.all([queue.drain(), closed]);
    if (!(await within(seconds, done))) {
      const { waiting, drawing } = queue.load;
      log(`Given up after ${seconds} s: ${waiting + drawing} images, and whoever has not read them.`);
      ended.abort();
      await within(FAREWELL, closed);
      server.closeAllConnections();
    }
    queue.close();
  };
  let drained: Promise<void> | undefined;
  return {
    url: addressOf(server, host),
    queue,
    drain(seconds) {
      drained ??= drain(seconds);
      return drained;
    },
  };
}

/** What answers by `fetch`, and says what is wrong with requests that never come to it. */
function listener(fetch: Parameters<typeof getRequestListener>[0]): RequestListener {
  return getRequestListener(fetch, {
    // For clients of HTTP/1.0, which may name no host. Browsers always do, whatever page asks.
    hostname: "localhost",
    // The Request and Response of a program that serves beside its own work are its own.
    overrideGlobalObjects: false,
    errorHandler: (error) => problemOf(error instanceof RequestError ? unreadable(error) : error).response(),
  });
}

function unreadable({ message }: RequestError): Problem {
  return new Problem(400, `The request cannot be read: ${message}.`);
}

/** The answer until the models are loaded. */
function whileStarting({ url }: Request): Response {
  if (new URL(url).pathname !== "/healthz")
    return new Problem(503, "The models are being loaded; ask again.", { headers: { "Retry-After": "1" } }).response();
  const health = { status: "starting", waiting: 0, drawing: 0 };
  return Response.json(health, { status: 503, headers: { "cache-control": "no-store" } });
}

/** Whether something happens in time. */
async function within(seconds: number, event: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), 1000 * seconds);
  });
  const inTime = await Promise.race([event.then(() => true), late]);
  clearTimeout(timer);
  return inTime;
}

function checkToken(host: string, token: string | undefined): void {
  if (token === undefined && !isLoopback(host))
    throw new Error(
      `Others can reach ${host}, so a token is needed, which they have to send. Set IQVAE_TOKEN, such as to the output of: ` +
        "openssl rand -hex 16. Without --host only this machine can reach the server.",
    );
  if (token === undefined) return;
  if (token.length < TOKEN_LENGTH)
    throw new Error(
      `The token has ${token.length} characters, but ${TOKEN_LENGTH} are the least: others could guess it.`,
    );
  // Clients send other characters in different ways, or not at all.
  if (!/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(token))
    throw new Error(
      "The token has characters that headers cannot carry: take letters, digits, and signs of ASCII, without spaces at its ends.",
    );
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  try {
    server.listen(port, host);
    await once(server, "listening");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(`The server cannot listen at port ${port} of ${host}: ${REASONS[code ?? ""] ?? `${message}.`}`, {
      cause: error,
    });
  }
}

const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: "another program does. Choose another with --port, or 0 for one that is free.",
  EACCES: "it may not be used by you. Choose one from 1024 on with --port.",
  EADDRNOTAVAIL: "this machine does not have that address. Choose one that it has with --host, or 0.0.0.0 for all.",
  ENOTFOUND: "there is no such address. Choose one that this machine has with --host.",
};

function addressOf(server: Server, host: string): string {
  const { port } = server.address() as AddressInfo;
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}/`;
}
