import { expect, onTestFinished, test, vi } from "vitest";
import { Arena } from "../src/engines/memory.ts";

test("a block that there is no room for takes none, and says how much was asked for", async () => {
  const arena = await Arena.create(1000);
  const { mark } = arena;
  expect(() => arena.allocate(2 ** 31)).toThrow(RangeError);
  expect(() => arena.allocate(2 ** 31)).toThrow(
    /need 8193 MiB, which WebAssembly does not give \(.+\); choose a smaller/,
  );
  expect(arena.mark).toBe(mark);
  expect(arena.floats(arena.store(Float32Array.of(1, 2)), 2)).toEqual(Float32Array.of(1, 2));
});

test("what some work allocates is given back when it ends, and when it fails", async () => {
  const arena = await Arena.create(1000);
  const { mark } = arena;
  expect(arena.during(() => arena.allocate(100))).toBeGreaterThanOrEqual(mark);
  expect(arena.mark).toBe(mark);
  const failing = () => {
    arena.allocate(100);
    throw new Error("stopped");
  };
  expect(() => arena.during(failing)).toThrow("stopped");
  expect(arena.mark).toBe(mark);
});

test("where kernels cannot be run, it says what they need", async () => {
  onTestFinished(() => {
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
  });
  const needs = (why: string) =>
    `the kernels of @iqvae/runtime cannot be run (${why}); they need WebAssembly with SIMD, and under a content security policy ` +
    "'wasm-unsafe-eval' in its script-src";
  const { WebAssembly } = globalThis as unknown as { WebAssembly: { instantiate(): Promise<unknown> } };
  vi.spyOn(WebAssembly, "instantiate").mockRejectedValue(new Error("'unsafe-eval' is not allowed"));
  await expect(Arena.create(1000)).rejects.toThrow(needs("'unsafe-eval' is not allowed"));
  vi.stubGlobal("WebAssembly", undefined);
  await expect(Arena.create(1000)).rejects.toThrow(needs("there is no WebAssembly"));
});
