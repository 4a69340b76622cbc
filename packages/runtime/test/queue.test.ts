import { expect, onTestFinished, test, vi } from "vitest";

test.each([
  ["in Node.js", []],
  ["in pages", ["setImmediate"]],
  ["where neither is, as in jsdom", ["setImmediate", "MessageChannel"]],
])("others have their turn %s", async (_, missing) => {
  // One of its own, since what it remembers of the time is kept.
  const module = "../src/queue.ts?of-another-time";
  const { breathe } = (await import(module)) as typeof import("../src/queue.ts");
  onTestFinished(() => void vi.unstubAllGlobals());
  vi.stubGlobal("performance", { now: () => Infinity }); // the last turn is long ago
  for (const name of missing) vi.stubGlobal(name, undefined);
  const had = breathe();
  expect(await Promise.race([had, Promise.resolve("not at once")])).toBe("not at once");
  await had;
});
