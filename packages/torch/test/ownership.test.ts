import { setImmediate } from "node:timers/promises";
import {
  AdamW,
  autocast,
  buffer,
  Ema,
  Generator,
  grad,
  inferenceMode,
  liveTensors,
  noGrad,
  OperatorError,
  ops,
  parameter,
  scope,
  Tensor,
  tensor,
  unscoped,
} from "@iqvae/torch";
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { native } from "../src/native.ts";
import { collectUntil } from "./collect.ts";

const { aten } = ops;

/** How many tensors `body` leaves alive. */
function left(body: () => unknown): number {
  const before = liveTensors();
  body();
  return liveTensors() - before;
}

const message = (body: () => unknown): string => {
  try {
    body();
  } catch (error) {
    return (error as Error).message;
  }
  return expect.fail("no error was thrown");
};

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

describe("release", () => {
  test("dispose frees at once, and twice is no error", () => {
    const x = tensor([1]);
    expect(left(() => x.dispose())).toBe(-1);
    expect(left(() => x.dispose())).toBe(0);
    expect(x.isReleased).toBe(true);
    expect(`${x}`).toBe("Tensor(released)");
  });

  test("using frees at the end of its block", () => {
    let seen: Tensor | undefined;
    const count = left(() => {
      using x = tensor([1]);
      seen = x;
      expect(x.item()).toBe(1);
    });
    expect(count).toBe(0);
    expect(message(() => seen?.item())).toContain("a tensor of shape [1] was used after its release at ");
  });

  test("use after release names the shape and the place", () => {
    const x = aten.zeros([2, 3]);
    x.dispose();
    const place =
      /a tensor of shape \[2, 3\] was used after its release at .*ownership\.test\.ts:\d+:\d+\)?; return it from the scope, or keep it alive until its last use$/;
    expect(message(() => x.shape)).toMatch(place);
    expect(message(() => x.read("float32"))).toMatch(place);
    expect(message(() => x.backward())).toMatch(place);

    const leaked = { x };
    scope(() => {
      leaked.x = aten.zeros([2, 3]);
    });
    expect(message(() => leaked.x.item())).toMatch(place);
    expect(message(() => leaked.x.add(1))).toMatch(
      /^aten::add\.Scalar: a tensor of shape \[2, 3\] was used after its release at/,
    );
    expect(message(() => leaked.x.add(1))).toContain("passed: (Tensor(released), 1)");
    expect(message(() => tensor([1]).add(leaked.x))).toContain("passed: (Tensor(float32 [1]), Tensor(released))");
    expect(message(() => aten.cat([leaked.x]))).toContain("a tensor of shape [2, 3] was used after its release");
  });

  test("a shape that is long gone is admitted", () => {
    const x = tensor([1]);
    x.dispose();
    scope(() => {
      for (let i = 0; i < 5000; i++) tensor([i]);
    });
    expect(message(() => x.item())).toContain("a tensor whose shape is no longer known was used after its release");
  });

  test("a foreign handle is refused and crashes nothing", () => {
    const gone = tensor([1]);
    const stale = gone.handle;
    gone.dispose();
    for (const handle of [stale, -1, 123_456, 2 ** 30, Number.NaN, 0.5, -(2 ** 31)]) {
      const forged = scope(() => {
        const made: { x?: Tensor } = {};
        try {
          made.x = new Tensor(handle);
          made.x.add(1);
          made.x.shape;
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
        return null;
      });
      expect(forged).toBeNull();
    }
  });

  test("more tensors than there are handles is an error that takes none of them", () => {
    const full = "more than 1048575 tensors are alive: release some with scope() or dispose()";
    const many = aten.zeros([1_100_000]);
    const [x, y] = [tensor([[1, 2]], { requiresGrad: true }), tensor([[1, 2]], { requiresGrad: true })];
    expect(left(() => expect(() => many.split(1)).toThrow(full))).toBe(0);
    scope(() => {
      const loss = x.mul(y).sum();
      many.slice(0, 0, 2 ** 20 - liveTensors() - 2).split(1); // and so there is one handle left
      for (const two of [() => x.max(1), () => grad([loss], [x, y], { retainGraph: true })])
        expect(left(() => expect(two).toThrow(full))).toBe(0);
    });
    for (const each of [many, x, y]) each.dispose();
  });

  test("a handle does not come again soon after its release", () => {
    const handles = new Set<number>();
    for (let i = 0; i < 20_000; i++) {
      using x = tensor([]);
      handles.add(x.handle);
    }
    expect(handles.size).toBe(20_000);
  });

  test("what JavaScript throws while arguments are read is the cause of the error", () => {
    const failure = new Error("planned");
    for (let reads = 0; reads < 8; reads++) {
      let left = reads;
      const sizes = Object.defineProperty([1, 2], 1, {
        get: () => {
          if (left-- === 0) throw failure;
          return 2;
        },
      });
      const outcome = (() => {
        try {
          return aten.zeros(sizes).shape;
        } catch (error) {
          return error instanceof OperatorError ? error.cause : error;
        }
      })();
      if (outcome !== failure) expect(outcome).toEqual([1, 2]);
    }
  });

  test("a view keeps the memory after its base is gone", () => {
    const base = aten.arange(6, { dtype: "float32" });
    const view = base.reshape([2, 3]).select(0, 1);
    base.dispose();
    expect([...view.read("float32")]).toEqual([3, 4, 5]);
    view.dispose();
  });
});

describe("the garbage collector", () => {
  const drop = (count: number) => {
    for (let i = 0; i < count; i++) aten.zeros([10]);
  };

  test("frees tensors that nobody released", async () => {
    const before = liveTensors();
    drop(200);
    expect(liveTensors()).toBeGreaterThan(before + 150);
    await collectUntil(() => liveTensors() <= before);
    expect(liveTensors()).toBeLessThanOrEqual(before);
  });

  test("frees what a scope let pass, and spares what is in use", async () => {
    const kept = scope(() => tensor([1]));
    const before = liveTensors();
    (() =>
      scope(() => tensor([2]))
        .add(1)
        .item())();
    await collectUntil(() => liveTensors() <= before);
    expect(liveTensors()).toBeLessThanOrEqual(before);
    expect(kept.item()).toBe(1);
  });

  test("does not free a slot that dispose gave to another tensor", async () => {
    const others: Tensor[] = [];
    (() => {
      for (let i = 0; i < 100; i++) {
        tensor([-1]).dispose();
        others.push(tensor([i]));
      }
    })();
    let rounds = 0;
    await collectUntil(() => ++rounds > 5);
    expect(others.map((each) => each.item())).toEqual(others.map((_, i) => i));
  });

  test("is told of what dispose has released, whose handle another tensor may have by then", async () => {
    const release = vi.spyOn(native, "release");
    try {
      const handles = (() => {
        const made = [tensor([0]), scope(() => tensor([1]))];
        return made.map((x) => {
          const { handle } = x;
          x.dispose();
          return handle;
        });
      })();
      let rounds = 0;
      await collectUntil(() => ++rounds > 5);
      expect(release.mock.calls.flat(2).filter((handle) => handles.includes(handle))).toEqual(handles);
    } finally {
      release.mockRestore();
    }
  });

  test("hears of each storage once, however many views there are, until the last of them is gone", () => {
    const spies = [vi.spyOn(native, "tellSize"), vi.spyOn(native, "release")];
    /** By how many KiB V8 knows of more after `body`. */
    const told = (body: () => unknown): number => {
      for (const spy of spies) spy.mockClear();
      body();
      return spies.flatMap((spy) => spy.mock.results).reduce((sum, { value }) => sum + value, 0) / 1024;
    };
    try {
      const views: Tensor[] = [];
      let base = tensor([]);
      expect(told(() => (base = aten.empty([4, 256])))).toBe(4);
      expect(told(() => views.push(...base.unbind(), ...base.split(1), base.t()))).toBe(0);
      expect(told(() => views.push(aten.ones([1]).expand([1_000_000_000])))).toBe(4 / 1024);
      expect(told(() => base.dispose())).toBe(0);
      expect(told(() => views.forEach((view) => void view.dispose()))).toBe(-4);
      const [first, second] = [aten.empty([256]), aten.empty([512])];
      expect(told(() => aten.set_.source_Tensor(second, first))).toBe(0);
      expect(told(() => first.dispose())).toBe(-1);
      expect(told(() => second.dispose())).toBe(-2);
      expect(told(() => scope(() => aten.empty([256]).add(1)))).toBe(1); // only what leaves all scopes
      expect(told(() => aten.empty([1 << 20], { device: "meta" }))).toBe(0);
    } finally {
      for (const spy of spies) spy.mockRestore();
    }
  });

  test("comes by itself because it hears of the memory behind tensors", async () => {
    const before = liveTensors();
    let most = 0;
    for (let i = 0; i < 400; i++) {
      aten.empty([4 << 20]); // 16 MiB behind a JavaScript object of a few bytes
      await setImmediate();
      most = Math.max(most, liveTensors() - before);
    }
    expect(most).toBeLessThan(200);
  });

  test("gives generators back", async () => {
    (() => {
      for (let i = 0; i < 50; i++) new Generator(i);
    })();
    const probe = () => new Generator(0).index;
    await collectUntil(() => probe() < 20);
    expect(probe()).toBeLessThan(20);
  });
});

describe("what lives outside of scopes", () => {
  test("is what was asked for, without what its making needed", () => {
    const parameters = new Map([
      ["matrix", parameter([3, 2], (weight) => weight.copy_(aten.ones([2, 3]).t()))],
      ["vector", parameter([2], (bias) => bias.zero_())],
    ]);
    // The numbers of updates are made when they are asked for.
    const state = (made: { tensors(): Map<string, Tensor> }) =>
      [...made.tensors()].flatMap(([name, each]) => (name.endsWith(".updates") ? [] : [each]));
    const makings: (() => readonly Tensor[])[] = [
      () => [parameter([2, 3], (weight) => weight.copy_(aten.ones([3, 2]).t()))],
      () => [buffer(() => aten.ones([2]).mul(3).exp())],
      () => state(new AdamW(parameters)),
      () => state(new Ema(parameters)),
    ];
    for (const making of makings) {
      let made: readonly Tensor[] = [];
      const count = left(() => (made = scope(making))) - made.length;
      expect(count, making.toString()).toBe(0);
      expect(left(() => scope(() => void making())) - made.length, making.toString()).toBe(0);
    }
  });
});
