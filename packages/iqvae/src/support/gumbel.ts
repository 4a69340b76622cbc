import type { Tensor } from "@iqvae/torch";

/** An exponential number of 0 would make infinite noise. */
const SMALLEST = 1e-30;

/** Turns standard exponential numbers into standard Gumbel noise, in place: `g = −log(−log u)`, and `−log u` is exponential. */
export function toGumbel_(exponential: Tensor): Tensor {
  return exponential.clamp_min_(SMALLEST).log_().neg_();
}
