import { expect, test } from "vitest";
import { flood, line } from "../src/editors/raster.ts";

const SIZE = 5;
/** Rows of digits. */
const drawn = (bytes: Uint8Array) => [...bytes].join("").match(/.{5}/g);

test("the bucket stays on its side of a line, and does not go around the edges of the map", () => {
  const fill = (at: readonly [number, number], ...rows: string[]) => {
    const bytes = Uint8Array.from(rows.join(""), Number);
    flood(bytes, SIZE, at, 7);
    return drawn(bytes);
  };
  const ring = ["00011", "00110", "01100", "11000", "10000"];
  expect(fill([0, 0], ...ring)).toEqual(["77711", "77110", "71100", "11000", "10000"]);
  expect(fill([4, 4], ...ring)).toEqual(["00011", "00117", "01177", "11777", "17777"]);
  const columns = Array(SIZE).fill("01110");
  expect(fill([0, 2], ...columns)).toEqual(Array(SIZE).fill("71110"));
  expect(fill([4, 2], ...columns)).toEqual(Array(SIZE).fill("01117"));
  for (const outside of [
    [-1, 2],
    [SIZE, 2],
    [2, -1],
    [2, SIZE],
  ] as const)
    expect(fill(outside, ...columns)).toEqual(columns);
});

test("a brush that goes over an edge paints what is on the map, and nothing at the other edge", () => {
  const stroke = (from: readonly [number, number], to: readonly [number, number]) => {
    const bytes = new Uint8Array(SIZE * SIZE);
    line(bytes, SIZE, { from, to, diameter: 3, value: 1 });
    return drawn(bytes);
  };
  expect(stroke([4, 1], [6, 1])).toEqual(["00011", "00011", "00011", "00000", "00000"]);
  expect(stroke([0, 1], [-2, 1])).toEqual(["11000", "11000", "11000", "00000", "00000"]);
  expect(stroke([2, 0], [2, -2])).toEqual(["01110", "01110", "00000", "00000", "00000"]);
  expect(stroke([2, 4], [2, 6])).toEqual(["00000", "00000", "00000", "01110", "01110"]);
});
