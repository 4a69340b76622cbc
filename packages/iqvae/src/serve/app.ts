import type { HttpBindings } from "@hono/node-server";
import { serveStatic } from "@hono/node-server/serve-static";
import { type Context, type Handler, Hono, type MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { secureHeaders } from "hono/secure-headers";
import { givenKindOf } from "../data/index.ts";
import { problemOf } from "./answers.ts";
import type { ModelsAnswer } from "./api.ts";
import type { ServedModel } from "./catalog.ts";
import { modelFile } from "./files.ts";
import { guard } from "./guard.ts";
import { drawImages } from "./images.ts";
import type { Limits } from "./limits.ts";
import type { Meters } from "./meters.ts";
import { openApi } from "./openapi.ts";
import { Problem } from "./problem.ts";
import type { Queue } from "./queue.ts";

/** What answers are made of. */
export interface Service {
  readonly models: ReadonlyMap<string, ServedModel>;
  readonly queue: Queue;
  readonly meters: Meters;
  readonly limits: Limits;
  readonly token: string | undefined;
  /** The built page, where there is one. */
  readonly page: string | undefined;
  /** Aborted when what is being drawn is not waited for any more. */
  readonly ended: AbortSignal;
  /** Whether the server has been asked to end: what was accepted is drawn, nothing else is. */
  isDraining(): boolean;
  /** Of faults of the server, for whoever runs it. */
  onFault(error: Error): void;
}

/** What Node.js knows of a request. */
export interface Env {
  Bindings: HttpBindings;
}

const ROUTES = ["/v1/images", "/v1/models", "/openapi.json", "/healthz", "/metrics"];

/** All routes of a server. */
export function createApp(service: Service): Hono<Env> {
  const { models, queue, meters, limits, token, page } = service;
  const app = new Hono<Env>();
  app.use(measured(meters));
  app.use(async (c, next) => {
    await next();
    if (service.isDraining()) c.header("connection", "close");
  });
  app.use(
    secureHeaders({
      // With both, a page is alone in its process, and may share memory with its workers.
      crossOriginOpenerPolicy: "same-origin",
      crossOriginEmbedderPolicy: "require-corp",
      crossOriginResourcePolicy: "same-origin",
      strictTransportSecurity: false,
    }),
  );
  app.onError((error, c) => {
    const problem = problemOf(error);
    if (problem.status === 500) service.onFault(error);
    // Whatever else was to be sent is not; the other headers stay.
    for (const [name, value] of Object.entries(problem.headers)) c.header(name, value);
    c.header("content-type", "application/problem+json");
    return c.body(JSON.stringify(problem.body), problem.status as 400);
  });

  app.get("/healthz", (c) => {
    const status = service.isDraining() ? "draining" : queue.ready ? "ok" : "starting";
    c.header("cache-control", "no-store");
    return c.json({ status, ...queue.load }, status === "ok" ? 200 : 503);
  });
  app.all("/healthz", only("GET"));

  app.use(guard(token));
  app.get("/metrics", async (c) => {
    c.header("content-type", meters.registry.contentType);
    return c.body(await meters.registry.metrics());
  });
  const description = openApi(limits);
  app.get("/openapi.json", (c) => c.json(description));
  app.get("/v1/models", (c) => c.json(describe(models, queue.engines)));
  const tooLarge = () => {
    throw new Problem(413, `A body has ${limits.body} bytes at most; send a smaller picture or sound.`);
  };
  app.post("/v1/images", bodyLimit({ maxSize: limits.body, onError: tooLarge }), (c) => drawImages(c, service));
  app.all("/v1/images", only("POST"));

  app.get("/models/models.json", (c) => {
    c.header("cache-control", "no-cache");
    return c.json({ models: listed(models) });
  });
  app.get("/models/:name/:file", (c) => modelFile(c, models.get(c.req.param("name")), c.req.param("file")));
  if (page === undefined)
    app.get("/", (c) => c.text("This server has no page; its API is described at /openapi.json.\n"));
  else app.use(fresh, serveStatic({ root: page }));
  for (const path of ["/", "/metrics", "/openapi.json", "/v1/models", "/models/models.json", "/models/:name/:file"])
    app.all(path, only("GET"));
  app.notFound((c) => {
    throw new Problem(404, `There is nothing at ${c.req.path}; what there is says /openapi.json.`);
  });
  return app;
}

/** Refuses all other methods. */
function only(method: "GET" | "POST"): Handler {
  const allow = method === "GET" ? "GET, HEAD" : method;
  return (c) => {
    throw new Problem(405, `${c.req.path} is asked for by ${method}, not by ${c.req.method}.`, {
      headers: { Allow: allow },
    });
  };
}

/** What of a page has a hash in its name never changes; the rest is asked for again. */
const fresh: MiddlewareHandler = async (c, next) => {
  await next();
  const forever = c.req.path.startsWith("/assets/");
  if (c.res.ok) c.header("cache-control", forever ? "public, max-age=31536000, immutable" : "no-cache");
};

function measured(meters: Meters): MiddlewareHandler<Env> {
  return async (c, next) => {
    const started = performance.now();
    const route = ROUTES.find((each) => each === c.req.path) ?? "page";
    const { outgoing } = c.env;
    // A streamed answer ends long after its handler. 499 is what nginx says of clients that hang up.
    outgoing.once("close", () => {
      const status = outgoing.writableFinished ? outgoing.statusCode : 499;
      meters.request(route, status, (performance.now() - started) / 1000);
    });
    await next();
  };
}

function describe(models: Service["models"], engines: Readonly<Record<string, string>>): ModelsAnswer {
  return {
    models: [...models.values()].map(({ name, size, spec, condition, examples, guidable, sampling }) => ({
      name,
      size,
      engine: engines[name] ?? "none now",
      condition: {
        kind: spec.kind,
        given: givenKindOf(spec),
        shape: [...condition.shape],
        ...("classes" in spec && {
          classes: spec.classes.map(({ name, color: [r, g, b] }) => ({
            name,
            color: [r, g, b] as [number, number, number],
          })),
        }),
        ...("points" in spec && { points: [...spec.points] }),
      },
      examples: examples.length,
      guidable,
      sampling,
    })),
  };
}

/** What the page knows of models before it loads one, in the form that its own build writes. */
function listed(models: Service["models"]) {
  return [...models.values()].flatMap(({ name, spec: { kind }, size, bundle }) =>
    bundle === undefined ? [] : [{ name, kind, size, bytes: bundle.files["model.safetensors"]!.bytes }],
  );
}

export type AppContext = Context<Env>;
