import { createHash } from "node:crypto";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { checkIntegrity, folderOf } from "../src/files.ts";

/** What a browser keeps, by address. */
const kept = new Map<string, Response>();
/** How each request of the server was made, and for what. */
const asked: (string | undefined)[] = [];
const addresses: string[] = [];
const FILE = "https://example.com/models/a/model.safetensors";
const BYTES = Uint8Array.from({ length: 1000 }, (_, i) => i % 251);
const RENEWED = BYTES.map((byte) => byte ^ 1);
let served = BYTES;
/** What the browser keeps of all that it fetches. */
let stale: Uint8Array | undefined;
let type: string;

const cache = {
  match: async (key: string) => kept.get(key)?.clone(),
  put: async (key: string, response: Response) => void kept.set(key, response),
  delete: async (key: string) => kept.delete(key),
  keys: async () => [...kept.keys()].map((url) => ({ url })),
};

beforeEach(() => {
  kept.clear();
  asked.length = 0;
  addresses.length = 0;
  served = BYTES;
  stale = undefined;
  type = "application/octet-stream";
  vi.stubGlobal("caches", { open: async () => cache });
  vi.stubGlobal("fetch", async (url: URL, init: { cache?: string }) => {
    asked.push(init.cache);
    addresses.push(url.href);
    const bytes = init.cache === "default" ? (stale ?? served) : served;
    return new Response(bytes as Uint8Array<ArrayBuffer>, { headers: { "content-type": type } });
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

/** Reads the weights of a model whose `model.json` says that they are these. */
function read(bytes = BYTES, address = "https://example.com/models/a"): Promise<Uint8Array> {
  const expected = { bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
  return folderOf(address).read("model.safetensors", () => {}, undefined, expected);
}

/** A response whose body cannot be read. */
const broken = () =>
  Object.assign(new Response(), {
    clone: () => ({ arrayBuffer: () => Promise.reject(new TypeError("Failed to fetch")) }),
  });

test.each([undefined, null, 7])("%s is no place of a model", (source) => {
  expect(() => folderOf(source as never)).toThrow(
    new TypeError(`a model is loaded from an address, a path, or a list of files, but ${source} came`),
  );
});

test("weights are fetched once", async () => {
  expect(await read()).toEqual(BYTES);
  expect(await read()).toEqual(BYTES);
  expect(asked).toEqual(["default"]);
});

test("weights that come are hashed once, which takes long where the platform does not do it", async () => {
  const digest = vi.spyOn(crypto.subtle, "digest");
  const expected = { bytes: BYTES.length, sha256: createHash("sha256").update(BYTES).digest("hex") };
  await checkIntegrity("weights", await read(), expected);
  expect(digest).toHaveBeenCalledTimes(1);
});

test.each([
  ["is cut off", () => new Response(BYTES.slice(0, 10))],
  ["has another bit", () => new Response(RENEWED)],
  ["cannot be read", broken],
])("what is kept and %s is fetched anew, past what else the browser keeps", async (_, damaged) => {
  await read();
  const [key] = kept.keys();
  kept.set(key!, damaged());
  expect(await read()).toEqual(BYTES);
  expect(await read()).toEqual(BYTES);
  expect(asked).toEqual(["default", "reload"]);
  kept.set(key!, damaged());
  served = RENEWED;
  expect(await read()).toEqual(RENEWED); // what loads it refuses it
  expect([...kept.keys()]).toEqual([]);
});

test("an old version that the browser keeps of all that it fetches is passed by", async () => {
  stale = RENEWED;
  expect(await read()).toEqual(BYTES);
  expect(await read()).toEqual(BYTES);
  expect(asked).toEqual(["default", "reload"]);
  await folderOf("https://example.com/models/a").read("model.json", () => {});
  expect(asked.at(-1)).toBe("no-cache");
});

test("what an address was signed with is sent for each file, and kept with none", async () => {
  await folderOf("https://example.com/models/a?sig=x%2By").read("model.json", () => {});
  await read(BYTES, "https://example.com/models/a/?sig=x%2By");
  const files = ["model.json", "model.safetensors"];
  expect(addresses).toEqual(files.map((name) => `https://example.com/models/a/${name}?sig=x%2By`));
  expect([...kept.keys()][0]).toMatch(new RegExp(`^${FILE}\\?sha256=`));
});

test("a web page in the place of model.json is said to be one, with its address", async () => {
  type = "text/html; charset=utf-8";
  const asking = folderOf("https://example.com/models/a").read("model.json", () => {});
  await expect(asking).rejects.toMatchObject({ file: "https://example.com/models/a/model.json", problem: "missing" });
  await expect(asking).rejects.toThrow("the server answered with a web page");
  expect(await read()).toEqual(BYTES); // some call all that they do not know a page
});

test.each(["model.json", "model.safetensors"])(
  "a web page in the place of %s is one, whatever it is called",
  async (name) => {
    served = new TextEncoder().encode("\n<!doctype html><title>App</title>");
    const expected = name === "model.json" ? undefined : { bytes: 1000, sha256: "0".repeat(64) };
    const asking = folderOf("https://example.com/models/a").read(name, () => {}, undefined, expected);
    await expect(asking).rejects.toMatchObject({ file: `https://example.com/models/a/${name}`, problem: "missing" });
    await expect(asking).rejects.toThrow("the server answered with a web page");
  },
);

test("what cannot be fetched of another origin may be what it does not allow", async () => {
  vi.stubGlobal("location", new URL("https://app.example.org/"));
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("Failed to fetch")));
  await expect(read()).rejects.toThrow(
    "(Failed to fetch); if its server can be reached, it has to allow https://app.example.org by an Access-Control-Allow-Origin header",
  );
  await expect(read(BYTES, "https://app.example.org/a")).rejects.toThrow(/fetched \(Failed to fetch\)$/);
});

test("an address is one where the page's globals have a class of their own for it", async () => {
  const folder = pathToFileURL(`${process.cwd()}/models/start`);
  vi.stubGlobal("URL", class extends URL {});
  expect((await folderOf(folder).read("model.json", () => {})).length).toBeGreaterThan(1000);
});

/** `folderOf` as it is in a page. */
async function folderOfPage(): Promise<typeof folderOf> {
  // Not undefined: whoever runs the tests uses it meanwhile.
  vi.stubGlobal("process", Object.create(process, { versions: { value: {} } }));
  const module = "../src/files.ts?in-page";
  return ((await import(module)) as { folderOf: typeof folderOf }).folderOf;
}

test("a relative address is of what addresses of the page are, and in a worker of its script", async () => {
  const inPage = await folderOfPage();
  vi.stubGlobal("location", { href: "https://example.com/app/faces/7" });
  await inPage("models/a").read("model.json", () => {});
  vi.stubGlobal("document", { baseURI: "https://example.com/app/" });
  await inPage("models/a").read("model.json", () => {});
  expect(addresses).toEqual(["faces/", ""].map((at) => `https://example.com/app/${at}models/a/model.json`));
});

test("a page that was opened as a file fetches nothing, and it says what to do", async () => {
  const inFile = await folderOfPage();
  vi.stubGlobal("location", { href: "file:///app/index.html" });
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("Failed to fetch")));
  const missing = inFile("models/a").read("model.json", () => {});
  await expect(missing).rejects.toThrow(
    "file:///app/models/a/model.json: it cannot be fetched (Failed to fetch); serve the folder over HTTP, or load its files",
  );
});

test("of a file that is renewed only the new version stays, and files beside it stay", async () => {
  await read();
  await read(BYTES, "https://example.com/models/ab");
  await read(BYTES, "https://example.org/models/a");
  const others = [...kept.keys()].slice(1);
  served = RENEWED;
  expect(await read(RENEWED)).toEqual(RENEWED);
  expect([...kept.keys()].slice(0, 2)).toEqual(others);
  expect(kept.size).toBe(3);
  expect([...kept.keys()][2]).toMatch(new RegExp(`^${FILE}\\?sha256=`));
});

test.each(["match", "put", "delete", "keys"] as const)("weights come where the cache fails to %s", async (method) => {
  vi.spyOn(cache, method).mockRejectedValue(new DOMException("full", "QuotaExceededError"));
  expect(await read()).toEqual(BYTES);
  for (const key of kept.keys()) kept.set(key, broken());
  expect(await read()).toEqual(BYTES);
});

test("weights come where there may be no cache at all", async () => {
  const open = () => Promise.reject(new DOMException("not here", "SecurityError"));
  vi.stubGlobal("caches", { open });
  expect(await read()).toEqual(BYTES);
  Object.defineProperty(globalThis, "caches", {
    configurable: true,
    get() {
      throw new DOMException("sandboxed", "SecurityError");
    },
  });
  expect(await read()).toEqual(BYTES);
  vi.stubGlobal("caches", undefined);
  expect(await read()).toEqual(BYTES);
});
