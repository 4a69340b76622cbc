import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type HeldOutPart, heldOutPart, type PairDataset, spreadRows } from "../../src/data/index.ts";

const PARTS = ["selection", "tune", "report"] as const satisfies readonly HeldOutPart[];

/** A data set whose pairs are numbers: the image of pair `i` is the byte `i`. */
function numbered(ids: readonly string[], group?: (id: string) => string): PairDataset {
  const batch = (rows: ArrayLike<number>) => ({
    images: Uint8Array.from(rows, (row) => row),
    conditions: Uint8Array.from(rows, (row) => 255 - row),
  });
  return {
    name: "numbers",
    key: "numbers",
    size: 32,
    condition: { kind: "lines" },
    train: { length: 0, ids: [], batch },
    validation: { length: ids.length, ids, batch },
    licenses: [],
    close() {},
    ...(group && { facts: { group } }),
  };
}

const named = (count: number) => Array.from({ length: count }, (_, i) => `pair-${i}`);
const idsOf = (dataset: PairDataset, part: HeldOutPart) => heldOutPart(dataset, part).validation.ids;

describe("the parts of the held-out pairs", () => {
  test("share no pair, have all of them, and none is empty, however few there are", () => {
    fc.assert(
      fc.property(fc.integer({ min: 3, max: 400 }), fc.string(), (count, prefix) => {
        const dataset = numbered(named(count).map((name) => prefix + name));
        const ids = PARTS.map((part) => idsOf(dataset, part));
        expect(ids.flat().sort()).toEqual([...dataset.validation.ids].sort());
        for (const some of ids) expect(some.length).toBeGreaterThan(0);
      }),
    );
  });

  test("are a quarter, a quarter and a half", () => {
    const dataset = numbered(named(4000));
    const shares = PARTS.map((part) => idsOf(dataset, part).length / 4000);
    [0.25, 0.25, 0.5].forEach((share, i) => {
      expect(Math.abs(shares[i]! - share)).toBeLessThan(0.03);
    });
  });

  test("are given by a pair's name: it keeps its part when others come in", () => {
    const [few, many] = [numbered(named(200)), numbered(named(900))];
    for (const part of PARTS) {
      const kept = new Set(idsOf(few, part));
      expect(idsOf(many, part).filter((id) => Number(id.slice(5)) < 200)).toEqual([...kept]);
    }
  });

  test("never tear a group", () => {
    const ids = Array.from({ length: 120 }, (_, i) => `concept-${i % 30}/vendor-${Math.floor(i / 30)}`);
    const group = (id: string) => id.split("/")[0]!;
    const found = PARTS.map((part) => new Set(idsOf(numbered(ids, group), part).map(group)));
    expect(found.reduce((sum, groups) => sum + groups.size, 0)).toBe(30);
    expect(new Set(found.flatMap((groups) => [...groups])).size).toBe(30);
  });

  test("read their own pairs, by numbers of their own", () => {
    const dataset = numbered(named(100));
    const { validation } = heldOutPart(dataset, "report");
    const rows = validation.ids.map((id) => Number(id.slice(5)));
    expect(validation.length).toBe(rows.length);
    const { images, conditions } = validation.batch([0, 3, 3]);
    expect([...images]).toEqual([rows[0], rows[3], rows[3]]);
    expect([...conditions]).toEqual([rows[0], rows[3], rows[3]].map((row) => 255 - row!));
    expect(() => validation.batch([rows.length])).toThrow(`from 0 to ${rows.length - 1}, got ${rows.length}`);
  });

  test("one pair serves to pick weights, and a second to report; without them, the error says what is needed", () => {
    const [one, two] = [numbered(named(1)), numbered(named(2))];
    expect(idsOf(one, "selection")).toEqual(["pair-0"]);
    expect([...idsOf(two, "selection"), ...idsOf(two, "report")].sort()).toEqual(["pair-0", "pair-1"]);
    expect(() => heldOutPart(one, "report")).toThrow(/numbers form 1 group, .*'report', which takes at least 2/);
    expect(() => heldOutPart(two, "tune")).toThrow(/numbers form 2 groups, .*'tune', which takes at least 3/);
  });
});

test("rows are spread over a split", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 600 }), (length, count) => {
      const rows = spreadRows({ length }, count);
      expect(rows.length).toBe(Math.min(count, length));
      expect(rows[0]).toBe(0);
      const steps = rows.map((row, i) => (rows[i + 1] ?? length) - row);
      expect(Math.min(...steps)).toBeGreaterThan(0);
      expect(Math.max(...steps)).toBe(Math.ceil(length / rows.length));
    }),
  );
});
