import { native } from "./native.ts";
import { ops } from "./ops.ts";
import { scope } from "./scope.ts";
import { getDefaultDevice } from "./tensor.ts";

/** More terms than bfloat16 can count: with its 8 bits, 256 + 1 is 256. Wide enough for oneDNN to take the product. */
const TERMS = 512;

let onProcessor: boolean | undefined;

/**
 * Whether products of bfloat16 matrices can be relied on: their terms have to add up in float32. libtorch 1.13 adds them up in
 * bfloat16 on processors without AVX-512, so that a sum of more than 256 equal terms stands still and the gradient of a
 * convolution's weight is off by a tenth and more. {@link autocast} works in float32 there.
 *
 * @param device the default device unless given; only the CPU is in question, and is asked once, by a product
 */
export function supportsBfloat16(device = getDefaultDevice()): boolean {
  if (!device.startsWith("cpu")) return true;
  onProcessor ??= addsUp();
  return onProcessor;
}

function addsUp(): boolean {
  const before = native.setGradMode(false);
  try {
    return scope(() => {
      const ones = (shape: number[]) => ops.aten.ones(shape, { dtype: "bfloat16", device: "cpu" });
      return (
        ones([16, TERMS])
          .mm(ones([TERMS, 16]))
          .eq(TERMS)
          .all()
          .item() === 1
      );
    });
  } catch {
    return false; // oneDNN has no such product for some processors, and says so
  } finally {
    native.setGradMode(before);
  }
}

let warned = false;

/** Tells once a process that what was asked for in bfloat16 is computed in float32. */
export function warnOfFloat32(): void {
  if (warned) return;
  warned = true;
  process.emitWarning(
    `bfloat16 was asked for, but libtorch ${native.version} loses the digits of its products on this processor; computing in float32, which is faster here as well`,
    { code: "TORCH_BFLOAT16" },
  );
}
