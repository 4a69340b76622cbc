import { z } from "zod";

/* The kinds of number that configurations are made of. */

export const positive = z.int().min(1);
/** Bounded, as all that follow: libtorch takes no number that a float32 cannot hold, and says so in its own words. */
export const weight = z.number().min(0).max(1e6);
/** The largest {@link scale}. */
export const MOST_SCALE = 1000;
/** A temperature, or another factor. */
export const scale = z.number().gt(0).max(MOST_SCALE);
/** A part of a whole. */
export const share = z.number().min(0).max(1);
/** A peak learning rate. */
export const rate = z.number().gt(0).max(1);
export const warmup = z.int().min(0);
