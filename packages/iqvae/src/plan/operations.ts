import { type OperatorCall, observeCalls, Tensor } from "@iqvae/torch";

/**
 * Operations of matrix products and convolutions: two for each multiplication with its addition. Elementwise work is not among
 * them.
 */
export interface Operations {
  readonly forward: number;
  /** As many again for the gradient of each operand that has one. */
  readonly backward: number;
}

/** Of each product: its operands among the arguments, and how many multiplications go into a value of the result. */
const PRODUCTS: Readonly<Record<string, { operands: readonly [number, number]; inner(a: Tensor, b: Tensor): number }>> =
  {
    "aten::conv2d": { operands: [0, 1], inner: (_, weight) => weight.numel() / weight.shape[0]! },
    "fused::conv2d": { operands: [0, 1], inner: (_, weight) => weight.numel() / weight.shape[0]! },
    "aten::linear": { operands: [0, 1], inner: last },
    "aten::matmul": { operands: [0, 1], inner: last },
    "aten::mm": { operands: [0, 1], inner: last },
    "aten::bmm": { operands: [0, 1], inner: last },
    "aten::baddbmm": { operands: [1, 2], inner: last },
    // Two products, of queries with keys and of weights with values, and two gradients of each; the mask is not taken off.
    "fused::causal_attention": { operands: [0, 0], inner: (qkv) => 2 * qkv.shape[1]! },
  };

function last(a: Tensor): number {
  return a.shape.at(-1)!;
}

/**
 * Counts the operations of all products that `body` calls, from the shapes that come by. It knows nothing of models.
 *
 * The way back runs inside libtorch, where calls are not seen, and is taken to be walked once: what a discriminator walks
 * twice for its adaptive weight is missing.
 */
export function countOperations(body: () => void): Operations {
  const counted = { forward: 0, backward: 0 };
  observeCalls(({ operator, arguments: given, result }: OperatorCall) => {
    const product = PRODUCTS[operator];
    if (product === undefined || !(result instanceof Tensor)) return;
    const [a, b] = product.operands.map((place) => given[place]) as [Tensor, Tensor];
    const operations = 2 * result.numel() * product.inner(a, b);
    counted.forward += operations;
    if (result.requiresGrad) counted.backward += operations * [a, b].filter((each) => each.requiresGrad).length;
  }, body);
  return counted;
}
