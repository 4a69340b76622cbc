import { afterEach, expect, test, vi } from "vitest";
import { fetchModels } from "../src/models/list.ts";

afterEach(() => vi.unstubAllGlobals());

test("models come by kind, and of a kind the smallest first, which a first visit downloads", async () => {
  const models = [
    { name: "earth", kind: "semantic", size: 64, bytes: 9 },
    { name: "words", kind: "text", size: 64, bytes: 1 },
    { name: "start", kind: "semantic", size: 32, bytes: 6 },
    { name: "of another version", kind: "smell", size: 32, bytes: 1 },
  ];
  vi.stubGlobal("fetch", async () => new Response(JSON.stringify({ models })));
  expect((await fetchModels()).map(({ name }) => name)).toEqual(["start", "earth", "words"]);
});
