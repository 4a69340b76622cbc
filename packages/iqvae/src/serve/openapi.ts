import { z } from "zod";
import { VERSION } from "../support/version.ts";
import { healthAnswer, imageEvent, imageRequest, imagesAnswer, modelsAnswer, problemAnswer } from "./api.ts";
import type { Limits } from "./limits.ts";

type Json = Readonly<Record<string, unknown>>;

const json = (schema: z.ZodType, io: "input" | "output" = "output") => {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io });
  return rest as Json;
};
const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const answer = (description: string, content: Json) => ({ description, content });
const problem = (description: string) =>
  answer(description, { "application/problem+json": { schema: ref("Problem") } });
const retryAfter = { "Retry-After": { description: "Seconds to wait", schema: { type: "integer" } } };

const wrongMethod = { 405: problem("The method is none of those that Allow names") };

/** What goes wrong on every route of the API. */
const COMMON = {
  401: problem("The token is missing or wrong"),
  421: problem("Asked by a name that is not this machine's, of a server without a token"),
  500: problem("A fault of the server"),
  503: { ...problem("The models are being loaded"), headers: retryAfter },
  ...wrongMethod,
} as const;

/** The OpenAPI description of a server, made of the schemas that it checks requests by. */
export function openApi(limits: Limits): Json {
  return {
    openapi: "3.1.0",
    info: {
      title: "iqvae",
      version: VERSION,
      license: { name: "MIT", identifier: "MIT" },
      description: "Draws images that follow conditions.",
    },
    // None is needed where a server was started without a token.
    security: [{ token: [] }, {}],
    components: {
      securitySchemes: { token: { type: "http", scheme: "bearer" } },
      schemas: {
        ImageRequest: json(imageRequest(limits), "input"),
        Images: json(imagesAnswer),
        ImageEvent: json(imageEvent),
        Models: json(modelsAnswer),
        Problem: json(problemAnswer),
        Health: json(healthAnswer),
      },
    },
    paths: {
      "/v1/images": {
        post: {
          operationId: "drawImages",
          summary: "Draw images",
          description:
            `At most ${limits.samples} images and ${limits.pixels} pixels a request, ${limits.body} bytes of a body, ${limits.seconds} seconds. ` +
            "What is sent back depends on Accept.",
          requestBody: { required: true, content: { "application/json": { schema: ref("ImageRequest") } } },
          responses: {
            ...COMMON,
            200: answer("The images", {
              "application/json": { schema: ref("Images") },
              "image/png": { schema: { type: "string", format: "binary", description: "Where samples is 1" } },
              "text/event-stream": { schema: ref("ImageEvent") },
              "application/x-ndjson": { schema: ref("ImageEvent") },
            }),
            400: problem("The body is not valid JSON"),
            406: problem("Accept names none of the forms of the answer"),
            413: problem("The body is too large"),
            415: problem("The body is not application/json, or is encoded"),
            422: problem("A field is wrong; errors says which"),
            429: { ...problem("Too many images wait"), headers: retryAfter },
            503: { ...problem("The server is ending, starting, or was not done in time"), headers: retryAfter },
          },
        },
      },
      "/v1/models": {
        get: {
          operationId: "listModels",
          summary: "What can be drawn with",
          responses: { 200: answer("The models", { "application/json": { schema: ref("Models") } }), ...COMMON },
        },
      },
      "/openapi.json": {
        get: {
          operationId: "describe",
          summary: "This description",
          responses: { 200: answer("OpenAPI 3.1", { "application/json": { schema: { type: "object" } } }), ...COMMON },
        },
      },
      "/healthz": {
        get: {
          operationId: "health",
          summary: "Whether images can be drawn now",
          security: [],
          responses: {
            200: answer("Yes", { "application/json": { schema: ref("Health") } }),
            503: answer("No", { "application/json": { schema: ref("Health") } }),
            ...wrongMethod,
          },
        },
      },
      "/metrics": {
        get: {
          operationId: "metrics",
          summary: "Figures for Prometheus",
          responses: { 200: answer("Figures", { "text/plain": { schema: { type: "string" } } }), ...COMMON },
        },
      },
    },
  };
}
