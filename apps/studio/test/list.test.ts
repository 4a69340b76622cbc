import { afterEach, expect, test, vi } from "vitest";
import { fetchModels, pickedModel } from "../src/models/list.ts";

afterEach(() => vi.unstubAllGlobals());

test("models come by kind, and of a kind the smallest first, which a first visit downloads", async () => {
  const models = [
    { name: "earth", kind: "semantic", size: 64, bytes: 9 },
    { name: "words", kind: "text", size: 64, bytes: 1 },
    { name: "start", kind: "semantic", size: 32, bytes: 6 },
    { name: "no. 7?", kind: "text", size: 64, bytes: 2 },
    { name: "of another version", kind: "smell", size: 32, bytes: 1 },
  ];
  vi.stubGlobal("fetch", async () => new Response(JSON.stringify({ models })));
  const found = await fetchModels();
  expect(found.map(({ name }) => name)).toEqual(["start", "earth", "words", "no. 7?"]);
  expect(found.at(-1)!.source).toBe("models/no.%207%3F/");
});

test("a server that lets nobody in without its token says where that is", async () => {
  vi.stubGlobal("fetch", async () => new Response("", { status: 401 }));
  await expect(fetchModels()).rejects.toThrow("open the page by the address that has it");
});

test("of a folder with several models none is opened by chance", async () => {
  const files = ["a", "b", "c"].map((text) => new File([text], "model.json"));
  await expect(pickedModel(files)).rejects.toThrow("There are 3 models in the folder; choose that of one.");
});

test.each([
  ["broken", "{ broken", "model.json: it is not valid JSON"],
  ["null", "null", "model.json: the document must be"],
  ["of no model", '{"format": 1, "name": 7}', "model.json: "],
])("a model.json from a disk that is %s is named", async (_, text, message) => {
  await expect(pickedModel([new File([text], "model.json")])).rejects.toThrow(message);
});
