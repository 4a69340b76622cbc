import { expect, test } from "vitest";
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
