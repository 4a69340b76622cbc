import { setImmediate } from "node:timers/promises";
import {
  AdamW,
  buffer,
  Ema,
  Generator,
  getRngState,
  grad,
  liveTensors,
  OperatorError,
  ops,
  parameter,
  scope,
  setRngState,
  Tensor,
  tensor,
} from "@iqvae/torch";
import { describe, expect, test, vi } from "vitest";
import { native } from "../src/native.ts";
import { left, message } from "./alive.ts";
import { collectUntil } from "./collect.ts";

const { aten } = ops;

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
    const state = (made: { stateDict(): Map<string, Tensor> }) =>
      [...made.stateDict()].flatMap(([name, each]) => (name.endsWith(".updates") ? [] : [each]));
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

  test("are no tensors of a state that was read or set", () => {
    const generator = new Generator(1);
    const before = liveTensors();
    generator.setState(generator.getState());
    setRngState(getRngState());
    expect(liveTensors()).toBe(before);
  });
});
