import { ops, Tensor } from "@iqvae/torch";

/** Operations of the forward pass, and those that the backward pass will need. */
export interface Counted {
  forward: number;
  backward: number;
}

type Call = (...args: never[]) => Tensor;

/**
 * Counts the multiplications with their additions of all convolutions and matrix products that `body` calls, from the shapes
 * that come by and from which operands have a gradient. It knows nothing of models.
 */
export function counting(body: () => void): Counted {
  const counted = { forward: 0, backward: 0 };
  const note = (out: Tensor, inner: number, ...operands: Tensor[]): Tensor => {
    const operations = 2 * out.numel * inner;
    counted.forward += operations;
    if (out.requiresGrad) counted.backward += operations * operands.filter((operand) => operand.requiresGrad).length;
    return out;
  };
  const last = (x: Tensor): number => x.shape.at(-1)!;
  const restores = [
    patched(ops.aten, "conv2d", (call) => (x: Tensor, w: Tensor, ...rest: unknown[]) => {
      const [, channels, height, width] = w.shape as [number, number, number, number];
      return note(call(x, w, ...rest), channels * height * width, x, w);
    }),
    patched(
      ops.aten,
      "linear",
      (call) =>
        (x: Tensor, w: Tensor, ...rest: unknown[]) =>
          note(call(x, w, ...rest), last(x), x, w),
    ),
    patched(ops.aten, "mm", (call) => (a: Tensor, b: Tensor) => note(call(a, b), last(a), a, b)),
    patched(
      ops.aten,
      "baddbmm",
      (call) =>
        (mask: Tensor, a: Tensor, b: Tensor, ...rest: unknown[]) =>
          note(call(mask, a, b, ...rest), last(a), a, b),
    ),
    ...["bmm", "matmul"].map((name) =>
      patched(
        Tensor.prototype,
        name,
        (call) =>
          function (this: Tensor, b: Tensor): Tensor {
            return note(call.call(this, b), last(this), this, b);
          },
      ),
    ),
  ];
  try {
    body();
  } finally {
    for (const restore of restores) restore();
  }
  return counted;
}

function patched(owner: object, name: string, wrap: (call: (...args: unknown[]) => Tensor) => unknown): () => void {
  const holder = owner as Record<string, unknown>;
  const original = holder[name] as Call;
  holder[name] = wrap(original as unknown as (...args: unknown[]) => Tensor);
  return () => {
    holder[name] = original;
  };
}
