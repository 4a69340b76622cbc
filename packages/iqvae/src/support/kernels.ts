import { fileURLToPath } from "node:url";
import { builtLibrary, callOperator, loadLibrary, type Tensor } from "@iqvae/torch";

/* The method's own operators, in C++ (packages/iqvae/native), with types. */

let loaded = false;

/** Loads the library, unless it is there. */
export function loadKernels(): void {
  if (loaded) return;
  loadLibrary(builtLibrary(fileURLToPath(new URL("../../build", import.meta.url))));
  loaded = true;
}

function call(name: string, ...args: unknown[]): unknown {
  loadKernels();
  return callOperator(name, ...args);
}

/**
 * The one-dimensional Gromov–Wasserstein cost of each row, matched in the better of the two orders, and its gradients. On
 * the CPU only.
 *
 * @param x float32 `[L, n]`
 * @param y float32 `[L, n]`
 * @returns cost float64 `[L]`; gradients of each row's cost, float32 `[L, n]`
 */
export function slicedGw(x: Tensor, y: Tensor): [cost: Tensor, gradX: Tensor, gradY: Tensor] {
  return call("iqvae::sliced_gw", x, y) as [Tensor, Tensor, Tensor];
}

/**
 * Attention of one new token of each sequence. Its key and value are written into the cache at `position`, then it attends to
 * the prefix and to all of its own up to there.
 *
 * @param qkv float32 `[B, 3·H·D]`
 * @param prefixKeys `[N, H, D, P]`, float32 or bfloat16 as the other caches
 * @param prefixValues `[N, H, P, D]`
 * @param ownKeys `[B, H, D, capacity]`
 * @param ownValues `[B, H, capacity, D]`
 * @param of int64 `[B]`: the prefix of each sequence
 * @returns float32 `[B, H·D]`
 */
export function decodeAttention(
  qkv: Tensor,
  prefixKeys: Tensor,
  prefixValues: Tensor,
  ownKeys: Tensor,
  ownValues: Tensor,
  of: Tensor,
  position: number,
): Tensor {
  return call("iqvae::decode_attention", qkv, prefixKeys, prefixValues, ownKeys, ownValues, of, position) as Tensor;
}

/**
 * Adds `y`, if any, to the residual stream `x` in place and returns the layer normalization of the sum.
 *
 * @param x float32 `[B, C]`
 * @param y float32 `[B, C]`
 * @param weight float32 `[C]`
 * @param bias float32 `[C]`
 */
export function addNorm_(x: Tensor, y: Tensor | null, weight: Tensor, bias: Tensor, eps: number): Tensor {
  return call("iqvae::add_norm_", x, y, weight, bias, eps) as Tensor;
}

/** A weight `[O, I]` as panels `[⌈O/32⌉, I, 32]` for {@link panelLinear}. */
export function packPanels(weight: Tensor): Tensor {
  return call("iqvae::pack_panels", weight) as Tensor;
}

/**
 * `x Wᵀ + b` for few rows, optionally followed by GELU. On the CPU only. A row has the same bits in any batch.
 *
 * @param x float32 `[B, I]`
 * @param panels the weight by {@link packPanels}, float32 or bfloat16
 * @param bias float32 `[outputs]`
 * @param outputs rows of the weight before it was packed
 * @returns float32 `[B, outputs]`
 */
export function panelLinear(
  x: Tensor,
  panels: Tensor,
  bias: Tensor | null,
  outputs: number,
  gelu: boolean = false,
): Tensor {
  return call("iqvae::panel_linear", x, panels, bias, outputs, gelu) as Tensor;
}
