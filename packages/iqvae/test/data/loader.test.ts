import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { epochOrder, Loader } from "../../src/data/index.ts";
import { seededRandom } from "../../src/support/random.ts";

const lengths = fc.integer({ min: 1, max: 60 });
const batches = fc.array(fc.integer({ min: 0, max: 25 }), { maxLength: 12 });

describe("seededRandom", () => {
  it("gives numbers in [0, 1) that the seeds decide", () => {
    fc.assert(
      fc.property(fc.integer(), fc.integer(), (a, b) => {
        const draw = (seed: number) => Array.from({ length: 5 }, seededRandom("test", seed));
        expect(draw(a).every((value) => value >= 0 && value < 1)).toBe(true);
        expect(draw(a)).toEqual(draw(a));
        if (a !== b) expect(draw(a)).not.toEqual(draw(b));
      }),
    );
  });

  it("is even: the share of each tenth of [0, 1) is near a tenth", () => {
    const random = seededRandom(1);
    const counts = new Array<number>(10).fill(0);
    for (let i = 0; i < 20_000; i++) counts[Math.floor(random() * 10)]! += 1;
    // Five standard deviations of a binomial with 20,000 draws.
    for (const count of counts) expect(Math.abs(count - 2000)).toBeLessThan(5 * Math.sqrt(20_000 * 0.1 * 0.9));
  });
});

describe("epochOrder", () => {
  it("is a permutation, another one in every epoch", () => {
    fc.assert(
      fc.property(lengths, fc.integer(), fc.nat(1000), (length, seed, epoch) => {
        expect([...epochOrder(length, seed, epoch)].sort((a, b) => a - b)).toEqual([...Array(length).keys()]);
      }),
    );
    expect(epochOrder(50, 1, 0)).not.toEqual(epochOrder(50, 1, 1));
    expect(epochOrder(50, 1, 0)).not.toEqual(epochOrder(50, 2, 0));
  });
});

describe("Loader", () => {
  it("goes on, once restored, as the loader that was never stopped", () => {
    fc.assert(
      fc.property(lengths, fc.integer(), batches, batches, (length, seed, before, after) => {
        const loader = new Loader(length, seed);
        for (const size of before) loader.next(size);
        const resumed = new Loader(length, seed);
        resumed.restore(JSON.parse(JSON.stringify(loader.state)));
        for (const size of after) expect(resumed.next(size)).toEqual(loader.next(size));
        expect(resumed.state).toEqual(loader.state);
      }),
    );
  });

  it("hands out the epochs in their order, whatever the batch sizes", () => {
    fc.assert(
      fc.property(lengths, fc.integer(), batches, (length, seed, sizes) => {
        const loader = new Loader(length, seed);
        const seen = sizes.flatMap((size) => [...loader.next(size)]);
        const epochs = Math.ceil(seen.length / length);
        const expected = Array.from({ length: epochs }, (_, epoch) => [...epochOrder(length, seed, epoch)]).flat();
        expect(seen).toEqual(expected.slice(0, seen.length));
      }),
    );
  });

  it("refuses a data set without samples and a state of another data set", () => {
    expect(() => new Loader(0, 1)).toThrow(
      "Loader(0, …): expected at least one sample. Ask the data set for a larger count.",
    );
    const loader = new Loader(10, 1);
    for (const state of [
      { epoch: 0, position: 11 },
      { epoch: -1, position: 0 },
      { epoch: 0.5, position: 0 },
    ]) {
      expect(() => loader.restore(state)).toThrow(/position at most 10, the number of samples.*another data set/);
    }
  });
});
