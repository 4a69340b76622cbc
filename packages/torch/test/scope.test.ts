import {
  autocast,
  Ema,
  inferenceMode,
  liveTensors,
  noGrad,
  ops,
  scope,
  type Tensor,
  tensor,
  unscoped,
} from "@iqvae/torch";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { left, message } from "./alive.ts";

const { aten } = ops;

describe("scope", () => {
  test("releases everything made inside, the temporaries of a backward pass included", () => {
    const weight = tensor([[1, 2]], { requiresGrad: true });
    const leaves = left(() =>
      scope(() => {
        const y = aten.ones([3, 1]).mul(2).mm(weight).exp().add(1).sum();
        y.backward();
        weight.grad?.add(1);
        expect(y.item()).toBeGreaterThan(0);
      }),
    );
    expect(leaves).toBe(0);
    weight.dispose();
  });

  test("passes on what is returned, in arrays, objects and maps", () => {
    const count = left(() => {
      const made = scope(() => {
        const [a, b, c, d, e] = [1, 2, 3, 4, 5].map((value) => tensor([value])) as [
          Tensor,
          Tensor,
          Tensor,
          Tensor,
          Tensor,
        ];
        a.add(1).mul(b);
        return { one: a, list: [b, [c]], map: new Map([["d", { deep: d }]]), none: null, number: 7, text: "x", e };
      });
      const all = [made.one, made.list[0], made.list[1], made.map.get("d")?.deep, made.e].flat() as Tensor[];
      expect(all.map((each) => each.item())).toEqual([1, 2, 3, 4, 5]);
      for (const each of all) each.dispose();
    });
    expect(count).toBe(0);
  });

  test("hands survivors to the scope around it", () => {
    let kept: Tensor | undefined;
    const count = left(() =>
      scope(() => {
        kept = scope(() => tensor([1]).add(1));
        expect(kept.item()).toBe(2);
      }),
    );
    expect(count).toBe(0);
    expect(kept?.isReleased).toBe(true);
  });

  test("a tensor of the outer scope outlives an inner one that returns it", () => {
    scope(() => {
      const outer = tensor([1]);
      expect(scope(() => outer)).toBe(outer);
      scope(() => [outer, outer]);
      expect(outer.item()).toBe(1);
    });
  });

  test("releases all when its body throws, and throws the same error", () => {
    const failure = new Error("no");
    let made: Tensor | undefined;
    const count = left(() =>
      expect(() =>
        scope(() => {
          made = tensor([1]);
          scope(() => made?.add(1));
          throw failure;
        }),
      ).toThrow(failure),
    );
    expect(count).toBe(0);
    expect(made?.isReleased).toBe(true);
    expect(left(() => scope(() => tensor([1])).dispose())).toBe(0); // and the next scope works
  });

  class Pair {
    readonly #hidden = tensor([9]);
    readonly first: Tensor;
    readonly rest: unknown;
    constructor(first: Tensor, rest: unknown) {
      this.first = first;
      this.rest = rest;
    }
    hidden(): number {
      return this.#hidden.item();
    }
  }

  test("finds what is returned in class instances, sets, keys of maps, at any depth, and in circles", () => {
    const made: Tensor[] = [];
    const make = () => {
      const x = tensor([made.length]);
      made.push(x);
      return x;
    };
    const count = left(() => {
      scope(() => {
        tensor([0]);
        let deep: unknown = new Set([make()]);
        for (let level = 0; level < 20_000; level++) deep = level % 2 === 0 ? [deep] : { deep };
        const pair = { circle: {} as unknown, pair: new Pair(make(), new Map([[make(), new Pair(make(), deep)]])) };
        pair.circle = pair;
        return pair;
      });
      expect(made.map((each) => each.item())).toEqual([0, 1, 2, 3]);
      for (const each of made) each.dispose();
    });
    expect(count).toBe(0);
  });

  test("finds what is returned under symbols, and refuses functions, whose tensors it cannot see", () => {
    const key = Symbol("x");
    const made = scope(() => ({ [key]: tensor([4]) }));
    expect(made[key]!.item()).toBe(4);
    made[key]!.dispose();
    const count = left(() =>
      expect(() =>
        scope(() => {
          const x = tensor([1]);
          return () => x.item();
        }),
      ).toThrow(/scope\(\) got a function/),
    );
    expect(count).toBe(0);
  });

  test("does not see private fields, whose tensors say what became of them", () => {
    const pair = scope(() => new Pair(tensor([1]), null));
    expect(pair.first.item()).toBe(1);
    expect(message(() => pair.hidden())).toContain("a tensor of shape [1] was used after its release");
  });

  test("passes a long list on to the scope around it", () => {
    expect(left(() => scope(() => void scope(() => Array.from({ length: 200_000 }, () => tensor([])))))).toBe(0);
  });

  test.each<[string, (x: Tensor) => Tensor]>([
    ["sparse_coo", (x) => x.to_sparse()],
    ["sparse_csr", (x) => x.to_sparse_csr()],
    ["opaque", (x) => x.to_mkldnn()],
    ["meta", (x) => x.to({ device: "meta" })],
  ])("%s tensors are passed on and released like all others", (_, make) => {
    const x = tensor([[0, 2]]);
    const failure = new Error("planned");
    const count = left(() => {
      const free = make(x);
      const survivor = scope(() => {
        tensor([1]).add(1);
        return make(x);
      });
      expect([free.isReleased, survivor.isReleased]).toEqual([false, false]);
      expect(() =>
        scope(() => {
          make(x);
          throw failure;
        }),
      ).toThrow(failure);
      free.dispose();
      survivor.dispose();
    });
    expect(count).toBe(0);
  });

  test("releases all when what it returns cannot be looked through", () => {
    const unreadable = {
      get tensor(): Tensor {
        throw new Error("unreadable");
      },
    };
    const result = () => [tensor([1]), unreadable];
    expect(left(() => expect(() => scope(result)).toThrow("unreadable"))).toBe(0);
  });

  // biome-ignore lint/suspicious/noThenProperty: it is meant to be taken for a promise
  const thenable = { then: (resolve: (value: number) => void) => resolve(1) };
  test.each<[string, string, (inside: () => Tensor) => unknown]>([
    ["an asynchronous function", "an asynchronous function", async (inside) => void inside()],
    ["another thenable", "an asynchronous function", (inside) => [inside(), thenable][1]],
    ["a promise within", "an asynchronous function", (inside) => ({ later: Promise.resolve(inside()) })],
    ["a generator", "a generator or iterator", (inside) => [inside(), (function* () {})()][1]],
    ["an asynchronous generator", "a generator or iterator", (inside) => [inside(), (async function* () {})()][1]],
    ["an iterator within", "a generator or iterator", (inside) => [new Set([inside()]).values()]],
  ])("refuses %s, whose work would be done outside", (_, kind, body) => {
    let inside: Tensor | undefined;
    const make = () => {
      inside = tensor([1]);
      return inside;
    };
    const count = left(() => expect(message(() => scope(() => body(make)))).toContain(`scope() got ${kind}`));
    expect(count).toBe(0);
    expect(inside?.isReleased).toBe(true);
  });

  test.each<[string, (body: () => unknown) => unknown]>([
    ["unscoped", unscoped],
    ["noGrad", noGrad],
    ["inferenceMode", inferenceMode],
    ["autocast", (body) => autocast({}, body)],
    ["swappedIn", (body) => new Ema(new Map()).swappedIn(body)],
  ])("%s refuses them as well", (name, run) => {
    for (const later of [async () => {}, () => thenable, function* () {}, async function* () {}, () => [1].values()])
      expect(() => run(later)).toThrow(new RegExp(`^${name}\\(\\) got an? (asynchronous function|generator)`));
    expect(run(() => 7)).toBe(7);
  });

  test("leaves alone what unscoped makes", () => {
    const state = scope(() => unscoped(() => scope(() => tensor([1]).add(1))));
    scope(() => expect(state.item()).toBe(2));
    expect(state.isReleased).toBe(false);
    state.dispose();
  });

  test("an in-place operator returns its own tensor, which stays where it was", () => {
    const x = tensor([1, 2]);
    const y = scope(() => x.add_(1).mul_(2));
    expect(y).toBe(x);
    expect(left(() => scope(() => void x.add_(1)))).toBe(0);
    expect([...x.read("float32")]).toEqual([5, 7]);
    x.dispose();
  });

  test("whatever the nesting, exactly what is returned or made outside survives", async () => {
    type Tree = {
      readonly make: number;
      readonly keep: number;
      readonly throws: boolean;
      readonly children: readonly Tree[];
    };
    const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
      tree: fc.record({
        make: fc.nat({ max: 4 }),
        keep: fc.nat({ max: 4 }),
        throws: fc.boolean(),
        children: fc.oneof({ maxDepth: 4 }, fc.constant([]), fc.array(tie("tree"), { maxLength: 3 })),
      }),
    }));
    const run = ({ make, keep, throws, children }: Tree): Tensor[] =>
      scope(() => {
        const made = Array.from({ length: make }, (_, i) => tensor([i]));
        const passed = children.flatMap((child) => {
          try {
            return run(child);
          } catch {
            return [];
          }
        });
        if (throws) throw new Error("planned");
        for (const each of [...made, ...passed]) expect(each.isReleased).toBe(false);
        return [...made, ...passed].slice(0, keep);
      });
    await fc.assert(
      fc.property(tree, (planned) => {
        const before = liveTensors();
        let kept: Tensor[] = [];
        try {
          kept = run(planned);
        } catch {
          // planned
        }
        expect(liveTensors() - before).toBe(kept.length);
        for (const each of kept) each.dispose();
        expect(liveTensors()).toBe(before);
      }),
    );
  });
});
