import { fileURLToPath } from "node:url";
import { builtLibrary, callOperator, loadLibrary, nameSetup, ops, type Tensor } from "@iqvae/torch";

/* The method's own operators, in C++ (packages/iqvae/native), with types. */

const BUILD = fileURLToPath(new URL("../../build", import.meta.url));
let loaded = false;

// It builds the addon of `@iqvae/torch` and these, wherever a package manager has put them.
nameSetup("npx iqvae setup");

/** Loads the library, unless it is there. */
export function loadKernels(): void {
  if (loaded) return;
  loadLibrary(kernelLibrary());
  loaded = true;
}

/**
 * Where the library is for the present `LIBTORCH`; it is found out without loading libtorch.
 *
 * @throws Error when it is not built, with what to type
 */
export function kernelLibrary(): string {
  return builtLibrary(BUILD, "kernels.so");
}

/** Whether the library is there, as {@link kernelLibrary} finds it. */
export function kernelsAreBuilt(): boolean {
  try {
    return kernelLibrary() !== "";
  } catch {
    return false;
  }
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

/** What {@link decodeToken} works on: for each layer one, of the shapes that {@link decodeToken} names. */
export interface DecodeCaches {
  readonly prefixKeys: readonly Tensor[];
  readonly prefixValues: readonly Tensor[];
  readonly keys: readonly Tensor[];
  readonly values: readonly Tensor[];
}

/**
 * One token of each sequence through a whole transformer with a cache, on the CPU. Its keys and values are written into the
 * cache at `position`, and it attends to the prefix and to all of its own up to there. A sequence has the same bits in any batch
 * and on any number of threads. Where weights are bfloat16, what enters a product is rounded to it.
 *
 * @param x float32 `[B, C]`
 * @param weights for each layer the normalization before attention (weight, bias), panels and bias of queries, keys and values and
 *   of the projection, the normalization before the perceptron, panels and bias of its two layers; then the last normalization and
 *   the panels of the head. Norms and biases are float32; panels come from {@link packPanels}, in the dtype of the caches
 * @param caches of each layer, float32 or bfloat16: keys of the prefix as {@link blockKeys} makes them of `[N, H, P, D]`, its values
 *   `[N, H, P, D]`, own keys of `[B, H, capacity, D]` in the same form, own values `[B, H, capacity, D]`
 * @param of int64 `[B]`: the prefix of each sequence
 * @param codes rows of the head
 * @returns the logits, float32 `[B, codes]`
 */
export function decodeToken(
  x: Tensor,
  weights: readonly Tensor[],
  { prefixKeys, prefixValues, keys, values }: DecodeCaches,
  of: Tensor,
  position: number,
  { codes, eps }: { readonly codes: number; readonly eps: number },
): Tensor {
  const caches = [prefixKeys, prefixValues, keys, values];
  return call("iqvae::decode_token", x, weights, ...caches, of, position, codes, eps) as Tensor;
}

/**
 * A weight `[O, I]` as panels `[⌈O/32⌉, 2, I, 16]` for {@link decodeToken} and {@link panelLinear}. In bfloat16 two inputs of an output
 * lie side by side, as processors multiply them: `[⌈O/32⌉, 2, ⌈I/2⌉, 32]`.
 */
export function packPanels(weight: Tensor): Tensor {
  return call("iqvae::pack_panels", weight, weight.dtype === "bfloat16" ? 2 : 1) as Tensor;
}

/**
 * A product of many rows on the CPU. Unlike those of a BLAS, a row has the same bits among any others and on any number of threads.
 * Where panels are bfloat16, rows are rounded to it.
 *
 * @param x float32 `[…, I]`
 * @param panels from {@link packPanels}, float32 or bfloat16
 * @param bias float32 `[outputs]`
 * @param options.gelu whether the exact GELU follows
 * @returns float32 `[…, outputs]`
 */
export function panelLinear(
  x: Tensor,
  panels: Tensor,
  bias: Tensor | null,
  { outputs, gelu }: { readonly outputs: number; readonly gelu: boolean },
): Tensor {
  return call("iqvae::panel_linear", x, panels, bias, outputs, gelu) as Tensor;
}

/** Moments of a block of keys. */
const BLOCK = 32;

/** The shape of the keys of `T` moments in blocks, from `[…, T, D]`. */
export function blockedShape(shape: readonly number[]): number[] {
  const [T, D] = shape.slice(-2) as [number, number];
  return [...shape.slice(0, -2), Math.ceil(T / BLOCK), D, BLOCK];
}

/** Keys `[…, T, D]` as blocks `[…, ⌈T/32⌉, D, 32]`, a view where `T` is a multiple of 32; else the last is filled up with zeros. */
export function blockKeys(keys: Tensor): Tensor {
  const [T, D] = keys.shape.slice(-2) as [number, number];
  const blocks = Math.ceil(T / BLOCK);
  const padded = ops.aten.constant_pad_nd(keys, [0, 0, 0, blocks * BLOCK - T]);
  return padded.reshape([...keys.shape.slice(0, -2), blocks, BLOCK, D]).transpose(-2, -1);
}

/** Copies of tensors of one dtype, one after the other in one block of memory, which Linux may hold in large pages. */
export function inLargePages(tensors: readonly Tensor[]): Tensor[] {
  return call("iqvae::in_large_pages", tensors) as Tensor[];
}
