import { expect, test } from "vitest";
import type { Source } from "../src/drawing/source.ts";
import { readWork, writeWork } from "../src/keep/work.ts";

const like = { kind: "like", seed: 3, sample: 2, distance: 0.1 } as const;
const WORK = { model: "start", condition: Uint8Array.of(1, 2, 255), settings: { seed: 5, locked: false } };
const read = (source: unknown) =>
  readWork(JSON.stringify({ ...JSON.parse(writeWork({ ...WORK, source: like })), source }));

test.each<Source>([
  { kind: "fresh" },
  like,
  { kind: "redraw", fixed: Int32Array.of(-1, 7), base: Int32Array.of(4, 7) },
])("work is read as it was written, its source $kind", (source) => {
  expect(readWork(writeWork({ ...WORK, source }))).toEqual({ ...WORK, source });
});

test("of numbers that no studio wrote none is drawn from", () => {
  expect(read({ ...like, distance: 7 }).source).toEqual({ ...like, distance: 1 });
  const damaged = [{ seed: -1 }, { seed: 2 ** 53 }, { sample: -1 }, { sample: 1.5 }, { distance: 0 }, { distance: -1 }];
  for (const part of [...damaged, { distance: "far" }])
    expect(() => read({ ...like, ...part })).toThrow("what its pictures are drawn from is damaged");
  for (const token of ["1", 1.5, null])
    expect(() => read({ kind: "redraw", fixed: [token], base: [1] })).toThrow("drawn from is damaged");
});
