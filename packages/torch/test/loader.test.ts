import {
  DataLoader,
  type Dataset,
  defaultCollate,
  Generator,
  liveTensors,
  manualSeed,
  ops,
  scope,
  type Tensor,
  TensorDataset,
  tensor,
  unscoped,
} from "@iqvae/torch";
import { describe, expect, test, vi } from "vitest";
import { settledTensors } from "./collect.ts";

const { aten } = ops;
type Pair = [Tensor, Tensor];
const rows = (length: number) => new TensorDataset(aten.arange(length), aten.arange(length).mul(10));
const numbers = (loader: Iterable<Pair>) => [...loader].map(([x]) => (x.isReleased ? "released" : x.tolist()));
const passOf = (loader: DataLoader<never, Pair>) => {
  const out: unknown[] = [];
  for (const [x, y] of loader) {
    expect(y.div(10).equal(x)).toBe(true);
    out.push(...(x.tolist() as number[]));
  }
  return out;
};

describe("DataLoader", () => {
  test("hands out batches in order, the last one smaller or left out", () => {
    const sizes = (loader: DataLoader<never, Pair>) => [loader.length, Array.from(loader, ([x]) => x.shape[0])];
    expect(sizes(new DataLoader(rows(5), { batchSize: 2 }))).toEqual([3, [2, 2, 1]]);
    expect(sizes(new DataLoader(rows(5), { batchSize: 2, dropLast: true }))).toEqual([2, [2, 2]]);
    expect(sizes(new DataLoader(rows(4), { batchSize: 2 }))).toEqual([2, [2, 2]]);
    expect(sizes(new DataLoader(rows(2)))).toEqual([2, [1, 1]]);
    expect(passOf(new DataLoader(rows(5), { batchSize: 2 }))).toEqual([0, 1, 2, 3, 4]);
    expect(passOf(new DataLoader(rows(0)))).toEqual([]);
  });

  test("shuffles anew in each pass, by the default generator or its own", () => {
    const of = (generator?: Generator) =>
      new DataLoader(rows(50), { batchSize: 7, shuffle: true, ...(generator && { generator }) });
    const passes = (loader: DataLoader<never, Pair>) => [passOf(loader), passOf(loader)];
    manualSeed(1);
    const [first, second] = passes(of());
    expect(first).not.toEqual(second);
    const sorted = [...first!].sort((a, b) => Number(a) - Number(b));
    expect(sorted).toEqual(Array.from({ length: 50 }, (_, i) => i));
    manualSeed(1);
    expect(passes(of())).toEqual([first, second]);
    const own = passes(of(new Generator(3)));
    manualSeed(2);
    expect(passes(of(new Generator(3)))).toEqual(own);
  });

  test("releases a batch when the next is taken, and the last at the end", () => {
    const loader = new DataLoader(rows(6), { batchSize: 2 });
    expect(numbers(loader)).toEqual(["released", "released", "released"]);
    const before = liveTensors();
    scope(() => {
      for (const [x] of loader) expect(x.isReleased).toBe(false);
    });
    for (const _ of loader) expect(liveTensors() - before).toBe(2);
    expect(liveTensors()).toBe(before);
    const [x] = loader[Symbol.iterator]().next().value!;
    expect(x.tolist()).toEqual([0, 1]);
  });

  test("leaves the tensors of the data set alone", () => {
    const dataset = [tensor([1]), tensor([2])];
    const loader = new DataLoader(dataset, { collateFn: ([only]) => only! });
    expect(Array.from(loader, (x) => x.item())).toEqual([1, 2]);
    expect(dataset.map(({ isReleased }) => isReleased)).toEqual([false, false]);
  });

  test("takes arrays, and data sets that make their samples, also later", async () => {
    const squares: Dataset<{ x: number; name: string }> = {
      length: 3,
      get: async (i) => ({ x: i * i, name: `n${i}` }),
    };
    const loader = new DataLoader(squares, { batchSize: 2 });
    const seen: unknown[] = [];
    for await (const { x, name } of loader) seen.push([x.tolist(), name]);
    expect(seen).toEqual([
      [
        [0, 1],
        ["n0", "n1"],
      ],
      [[4], ["n2"]],
    ]);
    expect(() => [...loader]).toThrow(/for await/);
    expect(Array.from(new DataLoader([1, 2, 3], { batchSize: 3 }), (x) => x.tolist())).toEqual([[1, 2, 3]]);
    for await (const [x] of new DataLoader(rows(2), { batchSize: 2 })) expect(x.tolist()).toEqual([0, 1]);
  });

  test("has the next batch under way while this one is worked on, and says when a sample fails", async () => {
    const asked: number[] = [];
    const failing: Dataset<number> = {
      length: 4,
      get: async (i) => {
        asked.push(i);
        if (i === 2) throw new Error("no sample 2");
        return i;
      },
    };
    const iterator = new DataLoader(failing)[Symbol.asyncIterator]();
    expect((await iterator.next()).value!.tolist()).toEqual([0]);
    expect(asked).toEqual([0, 1]);
    await iterator.next();
    await expect(iterator.next()).rejects.toThrow("no sample 2");
  });

  test("a sample that fails while the batch before it is worked on is heard of when it is asked for, and else never", async () => {
    const unheard = vi.fn();
    process.on("unhandledRejection", unheard);
    try {
      const failing: Dataset<number> = {
        length: 2,
        async get(i) {
          if (i === 1) throw new Error("no sample 1");
          return i;
        },
      };
      const iterator = new DataLoader(failing)[Symbol.asyncIterator]();
      await iterator.next();
      for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
      expect(unheard).not.toHaveBeenCalled();
      await expect(iterator.next()).rejects.toThrow("no sample 1");
      for await (const _ of new DataLoader(failing)) break;
      for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
      expect(unheard).not.toHaveBeenCalled();
    } finally {
      process.off("unhandledRejection", unheard);
    }
  });

  describe("for await", () => {
    const pause = () => new Promise((resolve) => setImmediate(resolve));
    const twice = (i: number) => tensor([i]).mul(2);
    const gets: [string, Dataset<Tensor>["get"]][] = [
      ["at once", twice],
      ["in a promise", async (i) => twice(i)],
      [
        "before a pause",
        async (i) => {
          const made = twice(i);
          await pause();
          return made;
        },
      ],
      ["after a pause", (i) => pause().then(() => scope(() => twice(i)))],
    ];

    test.each(gets)("holds two batches at most, of samples made %s", async (_, get) => {
      const before = await settledTensors();
      const seen: Tensor[] = [];
      // A batch, and the samples of the next one with what they were made of.
      for await (const x of new DataLoader({ length: 40, get }, { batchSize: 2 })) {
        expect(liveTensors() - before).toBeLessThanOrEqual(1 + 2 * 2);
        expect(x.isReleased).toBe(false);
        seen.push(x);
      }
      expect(liveTensors()).toBe(before);
      expect(seen.every((x) => x.isReleased)).toBe(true);
    });

    test("releases a batch that comes as one, and a sample that is handed on", async () => {
      const before = await settledTensors();
      const batches = { length: 4, batch: (indices: readonly number[]) => pause().then(() => tensor([...indices])) };
      const samples = { length: 2, get: (i: number) => pause().then(() => tensor([i])) };
      const all: unknown[] = [];
      for await (const x of new DataLoader(batches, { batchSize: 2 })) all.push(x.tolist());
      for await (const x of new DataLoader(samples, { collateFn: ([only]) => only! })) all.push(x.tolist());
      expect(all).toEqual([[0, 1], [2, 3], [0], [1]]);
      expect(liveTensors()).toBe(before);
    });

    test("leaves alone what the data set has, or makes to last", async () => {
      const kept = [tensor([1]), tensor([2])];
      const cache = new Map<number, Tensor>();
      const get = async (i: number) => {
        await pause();
        if (!cache.has(i))
          cache.set(
            i,
            unscoped(() => tensor([i])),
          );
        return [kept[i]!, cache.get(i)!] as const;
      };
      for (let pass = 0; pass < 2; pass++)
        for await (const [x, y] of new DataLoader({ length: 2, get })) expect(x.item() - y.item()).toBe(1);
      expect([...kept, ...cache.values()].map(({ isReleased }) => isReleased)).toEqual([false, false, false, false]);
    });

    test("hands out what came before an error, whether it is thrown or a promise's", async () => {
      const fail = (i: number) => {
        if (i === 2) throw new Error("no sample 2");
        return i;
      };
      for (const get of [fail, async (i: number) => fail(i)]) {
        const seen: unknown[] = [];
        const pass = async () => {
          for await (const x of new DataLoader({ length: 4, get })) seen.push(x.item());
        };
        await expect(pass()).rejects.toThrow("no sample 2");
        expect(seen).toEqual([0, 1]);
      }
    });
  });

  test("refuses sizes that are none, and rows that do not match", () => {
    for (const batchSize of [0, 1.5, -1]) expect(() => new DataLoader([1], { batchSize })).toThrow(`${batchSize}`);
    expect(() => new TensorDataset(aten.ones([2]), aten.ones([3]))).toThrow(/2, 3/);
    expect(new TensorDataset(aten.ones([4, 2]), aten.ones([4, 3]))).toHaveLength(4);
  });
});

describe("defaultCollate", () => {
  test("stacks tensors and typed arrays, and makes tensors of numbers by their kind", () => {
    const kind = (x: Tensor) => [x.dtype, x.tolist()];
    expect(kind(defaultCollate([tensor([1, 2]), tensor([3, 4])]))).toEqual([
      "float32",
      [
        [1, 2],
        [3, 4],
      ],
    ]);
    expect(kind(defaultCollate([Uint8Array.of(1), Uint8Array.of(2)]))).toEqual(["uint8", [[1], [2]]]);
    expect(kind(defaultCollate([1, 2.5]))).toEqual(["float32", [1, 2.5]]);
    expect(kind(defaultCollate([1n, 2n]))).toEqual(["int64", [1, 2]]);
    expect(kind(defaultCollate([true, false]))).toEqual(["bool", [true, false]]);
    const [pair, { deep }] = defaultCollate([
      [["a", 1], { deep: 2n }],
      [["b", 3], { deep: 4n }],
    ] as [[string, number], { deep: bigint }][]);
    expect([pair[0], pair[1].tolist(), deep.tolist()]).toEqual([
      ["a", "b"],
      [1, 3],
      [2, 4],
    ]);
  });

  test("names what does not fit together", () => {
    expect(() => defaultCollate([1, "a"])).toThrow(/number.*string/);
    expect(() => defaultCollate([[1], [1, 2]])).toThrow(/array of 1.*array of 2/);
    expect(() => defaultCollate([{ a: 1 }, { b: 1 }])).toThrow(/object of a.*object of b/);
    expect(() => defaultCollate([{ a: { b: null } }])).toThrow(/a sample\.a\.b is null/);
  });
});
