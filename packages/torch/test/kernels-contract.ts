import { callOperator, inferenceMode, manualSeed, noGrad, OperatorError, ops, scope, Tensor } from "@iqvae/torch";
import { describe, expect, test } from "vitest";

const { aten } = ops;

type Value = Tensor | Tensor[] | number | boolean | readonly number[] | null;
export type Arguments = Readonly<Record<string, Value>>;

/** An operator of ours, and what it promises. */
export interface Kernel {
  /** Arguments that fit together, in the order of the schema, for each size that is tried. */
  readonly sizes: readonly (() => Arguments)[];
  /** The names of the arguments that are written. */
  readonly written?: readonly string[];
  /**
   * What libtorch's own operators make of copies of the arguments, whose dtype is float64 where it is a fraction: the results,
   * and all that is written after them, in order. Random kernels may look at what came.
   */
  // biome-ignore lint/suspicious/noExplicitAny: each kernel knows its arguments
  readonly compose: (given: any, came: readonly Tensor[]) => readonly Tensor[];
}

/** Values between −1 and 1 of which none is zero or equal to another. */
export const wave = (shape: readonly number[], phase = 0.5): Tensor =>
  aten
    .arange(shape.reduce((a, b) => a * b, 1))
    .add(phase)
    .sin()
    .reshape(shape);

const DTYPES = ["float16", "bfloat16", "float64", "int64", "uint8", "bool", "complex64"] as const;

/** Everything that may be handed over in place of a tensor. */
function variants(x: Tensor): [string, () => Tensor][] {
  const { shape, ndim } = x;
  const made: [string, () => Tensor][] = [
    ["on meta", () => x.to({ device: "meta" })],
    ...DTYPES.map((dtype): [string, () => Tensor] => [
      `as ${dtype}`,
      () => x.mul(dtype === "float16" ? 1 : 3).to(dtype),
    ]),
    ["strided", () => aten.stack([x, x.add(1)], -1).select(-1, 0)],
    [
      "off the alignment",
      () =>
        aten
          .cat([x.new_zeros([1]), x.reshape([-1])])
          .slice(0, 1)
          .view(shape),
    ],
    ["negated by a flag", () => aten._neg_view(x.neg())],
    ["with a gradient", () => x.clone().requires_grad_(x.is_floating_point())],
    ["made in inferenceMode", () => inferenceMode(() => x.clone())],
    ["sparse", () => x.to_sparse()],
    ["of one dimension more", () => x.unsqueeze(0)],
    ["a single number", () => x.reshape([-1]).slice(0, 0, 1).sum()],
  ];
  if (x.dtype === "float32" && ndim > 0) made.push(["opaque", () => x.to_mkldnn()]);
  if (ndim === 4) {
    const last = (image: Tensor) => image.contiguous({ memory_format: "channels_last" });
    made.push(
      ["channels_last", () => last(x)],
      ["channels_last, negated by a flag", () => aten._neg_view(last(x.neg()))],
    );
  }
  if (ndim > 0) made.push(["of one dimension fewer", () => x.sum([0])]);
  if (ndim > 1) made.push(["transposed", () => x.transpose(0, -1).contiguous().transpose(0, -1)]);
  for (let d = 0; d < ndim; d++) {
    made.push([`without elements in dimension ${d}`, () => x.slice(d, 0, 0)]);
    if (shape[d] === 0) continue;
    made.push([`one more in dimension ${d}`, () => aten.cat([x, x.slice(d, 0, 1)], d)]);
    made.push([`one fewer in dimension ${d}`, () => x.slice(d, 1)]);
    made.push([`expanded in dimension ${d}`, () => x.slice(d, 0, 1).expand(shape)]);
    made.push([`a single one in dimension ${d}`, () => x.slice(d, 0, 1)]);
  }
  return made;
}

const tensorsOf = (value: Value): Tensor[] =>
  value instanceof Tensor ? [value] : Array.isArray(value) ? value.filter((each) => each instanceof Tensor) : [];

/** The arguments with one tensor replaced, and all ways to do so. */
function* substitutes(args: Arguments): Generator<[string, () => Arguments]> {
  for (const [name, value] of Object.entries(args))
    for (const [i, x] of tensorsOf(value).entries())
      for (const [what, make] of variants(x)) {
        const put = () => (value instanceof Tensor ? make() : (value as Tensor[]).with(i, make()));
        yield [`${name}${value instanceof Tensor ? "" : ` ${i}`} ${what}`, () => ({ ...args, [name]: put() })];
      }
  for (const dtype of ["float64", "bfloat16", "float16"] as const)
    yield [`all as ${dtype}`, () => mapped(args, (x) => (x.is_floating_point() ? x.to(dtype) : x))];
  yield ["all on meta", () => mapped(args, (x) => x.to({ device: "meta" }))];
  yield ["as they are", () => args];
}

function mapped(args: Arguments, change: (x: Tensor) => Tensor): Arguments {
  const inValue = (value: Value): Value =>
    value instanceof Tensor
      ? change(value)
      : Array.isArray(value) && value[0] instanceof Tensor
        ? (value as Tensor[]).map(change)
        : value;
  return Object.fromEntries(Object.entries(args).map(([name, value]) => [name, inValue(value)]));
}

/** The same in rows; libtorch 1.13 refuses what is dense already. */
function dense(x: Tensor): Tensor {
  try {
    return x.to_dense();
  } catch {
    return x;
  }
}

/** A copy in float64 that shares nothing, whatever the layout and mode; zeros for what has no memory. */
function exact(x: Tensor): Tensor {
  if (x.device === "meta") return aten.zeros(x.shape, { dtype: x.is_floating_point() ? "float64" : x.dtype });
  const own = dense(x).detach().clone();
  return own.is_floating_point() ? own.to("float64") : own;
}

const COARSE = new Set(["float16", "bfloat16"]);

function expectAlike(came: Tensor, wanted: Tensor, coarse: boolean, what: string): void {
  expect(came.shape, what).toEqual(wanted.shape);
  if (came.device === "meta") return;
  const own = exact(came);
  // Most are equal to the bit, which is seen sooner.
  if (own.dtype === wanted.dtype && own.equal(wanted)) return;
  const size = wanted.numel() === 0 ? 0 : wanted.to("float64").nan_to_num().abs().max().item();
  const tolerance = (coarse || COARSE.has(came.dtype) ? 0.03 : 2e-5) * (1 + size);
  const close = aten.isclose(own.to("float64"), wanted.to("float64"), 0, tolerance, true);
  if (close.all().item() !== 1) expect.fail(`${what}: off by ${own.to("float64").sub(wanted).abs().max().item()}`);
}

/**
 * Calls a kernel and expects an error that names it, or what libtorch's own operators give. Arguments that are not written stay as they
 * are, those that are written are counted up for autograd, and after an error nothing is changed at all.
 */
function tryOut(name: string, { written = [], compose }: Kernel, args: Arguments): void {
  const given = Object.entries(args).flatMap(([argument, value]) =>
    tensorsOf(value).map((x) => ({ argument, x, before: exact(x), version: x.is_inference() ? 0 : aten._version(x) })),
  );
  const coarse = given.some(({ x }) => COARSE.has(x.dtype));
  const devices = new Set(given.map(({ x }) => x.device));
  const copies = mapped(args, exact);
  let came: Tensor[] | undefined;
  let error: unknown;
  try {
    const out = callOperator(name, ...Object.values(args));
    came = [out ?? []].flat() as Tensor[];
  } catch (thrown) {
    error = thrown;
  }
  for (const { argument, x, before, version } of given) {
    const writable = came !== undefined && written.includes(argument);
    if (!writable) expectAlike(exact(x), before, false, `${argument}, which is not written`);
    else if (!x.is_inference() && x.device !== "meta" && !exact(x).equal(before))
      expect(aten._version(x), `version of ${argument}`).toBeGreaterThan(version);
  }
  if (came === undefined) {
    if (!(error instanceof OperatorError)) throw error;
    expect(error.operator).toBe(name);
    return;
  }
  expect(devices.size, "devices that went together").toBeLessThan(2);
  const all = [...came, ...written.flatMap((argument) => tensorsOf(args[argument]!))];
  const wanted = noGrad(() => compose(copies, all.map(exact)));
  expect(all.length).toBe(wanted.length);
  for (const [i, each] of all.entries()) expectAlike(each, wanted[i]!, coarse, `result ${i}`);
  // What requires a gradient has one, or was refused above.
  if (given.some(({ x }) => x.requiresGrad)) expect(all.some((each) => each.requiresGrad)).toBe(true);
}

/** Every operator of a namespace has a kernel here, and every kernel keeps its promise whatever it is given. */
export function describeKernels(all: readonly string[], kernels: Readonly<Record<string, Kernel>>): void {
  test("all of them are tried", () => expect(Object.keys(kernels).sort()).toEqual([...all].sort()));

  describe.each(Object.entries(kernels))("%s", (name, kernel) => {
    test.each(kernel.sizes.map((make, i) => [i, make] as const))(
      "with any argument in any form, an error that names it or the right result (sizes %i)",
      (_, make) => {
        manualSeed(1);
        const ways = scope(() => [...substitutes(make())].map(([what]) => what));
        ways.forEach((what, i) => {
          scope(() => {
            const [, substitute] = [...substitutes(make())][i]!;
            try {
              tryOut(name, kernel, substitute());
            } catch (error) {
              throw new Error(`${name} with ${what}: ${(error as Error).message}`, { cause: error });
            }
          });
        });
      },
    );
  });
}
