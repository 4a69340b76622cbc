import { expectKind, expectOptions, NUMBER } from "../given.ts";

/** A learning rate as a pure function of the step: linear warm-up to `peak`, then half a cosine down to `floor`. */
export function warmupCosine(options: {
  step: number;
  total: number;
  warmup: number;
  peak: number;
  floor?: number;
}): number {
  expectOptions("warmupCosine", options, {
    step: NUMBER,
    total: NUMBER,
    warmup: NUMBER,
    peak: NUMBER,
    floor: NUMBER,
  });
  const { step, total, warmup, peak, floor = 0 } = options;
  expectKind("warmupCosine", { step, total, warmup, peak }, NUMBER);
  if (step < warmup) return (peak * (step + 1)) / warmup;
  const progress = Math.min(1, (step - warmup) / Math.max(1, total - warmup));
  return floor + 0.5 * (peak - floor) * (1 + Math.cos(Math.PI * progress));
}

/** Linear from `from` at step 0 to `to` at step `over`, constant after. */
export function linearRamp(options: { step: number; over: number; from: number; to: number }): number {
  expectOptions("linearRamp", options, { step: NUMBER, over: NUMBER, from: NUMBER, to: NUMBER });
  const { step, over, from, to } = options;
  expectKind("linearRamp", { step, over, from, to }, NUMBER);
  return from + (to - from) * Math.min(1, over <= 0 ? 1 : step / over);
}
