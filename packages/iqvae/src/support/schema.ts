import { z } from "zod";

/* The kinds of number that configurations are made of. */

export const positive = z.int().min(1);
export const weight = z.number().min(0);
/** A part of a whole. */
export const share = z.number().min(0).max(1);
/** A peak learning rate. */
export const rate = z.number().gt(0).max(1);
export const warmup = z.int().min(0);
