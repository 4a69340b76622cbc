import { Validator } from "@seriousme/openapi-schema-validator";
import { expect, test } from "vitest";
import { createApp, type Service } from "../../src/serve/app.ts";
import { LIMITS } from "../../src/serve/limits.ts";
import { createMeters } from "../../src/serve/meters.ts";
import { openApi } from "../../src/serve/openapi.ts";

interface Description {
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, { readonly properties: Record<string, unknown> }>> };
}
const description = openApi({ ...LIMITS, samples: 17 }) as unknown as Description;

test("is an OpenAPI 3.1 description by its own schema", async () => {
  const validator = new Validator();
  expect(await validator.validate(JSON.parse(JSON.stringify(description)))).toEqual({ valid: true });
  expect(validator.version).toBe("3.1");
});

test("a batch that nobody waited for is none of the images that are drawn at once", async () => {
  const { batch, registry } = createMeters(() => {});
  for (const images of [0, 3]) batch("start", images, 0.5);
  const text = await registry.metrics();
  expect(text).toContain('iqvae_batch_images_count{model="start"} 1\n');
  expect(text).toContain('iqvae_drawing_seconds_total{model="start"} 1\n');
});

test("has every route of the API, and no other", () => {
  const service = { models: new Map(), meters: createMeters(() => {}), limits: LIMITS } as unknown as Service;
  const routes = createApp(service).routes.filter(
    ({ method, path }) => method !== "ALL" && !path.startsWith("/models/"),
  );
  const served = new Set(routes.map(({ method, path }) => `${method} ${path}`).filter((route) => route !== "GET /"));
  const described = Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(described.sort()).toEqual([...served].sort());
});

test("says the limits that the server has, and names what it refers to", () => {
  const { samples } = description.components.schemas.ImageRequest!.properties as Record<string, unknown>;
  expect(samples).toMatchObject({ type: "integer", minimum: 1, maximum: 17, default: 1 });
  const text = JSON.stringify(description);
  const references = [...text.matchAll(/"#\/components\/schemas\/(\w+)"/g)].map(([, name]) => name!);
  expect(new Set(references)).toEqual(new Set(Object.keys(description.components.schemas)));
});
