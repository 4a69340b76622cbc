/* How much is worked on together where nothing is said: what a GPU takes as long for as for a few, and its memory holds. */

const USUAL = 32;
const MOST = 256;
/** What keys and values of a batch may take of a GPU's memory. */
const MOST_BYTES = 4e9;
/** The pixels of {@link MOST} images of 64 × 64. */
const MOST_PIXELS = MOST * 64 ** 2;

/**
 * Sequences that are predicted side by side.
 *
 * @param bytes of one sequence's keys and values
 */
export function sequencesAtOnce(device: string, bytes: number): number {
  return onGpu(device, USUAL, MOST_BYTES / bytes);
}

/**
 * Images that are drawn or encoded together.
 *
 * @param size pixels a side
 * @param usual how many on a CPU, and at least
 */
export function imagesAtOnce(device: string, size: number, usual: number = USUAL): number {
  return onGpu(device, usual, MOST_PIXELS / size ** 2);
}

function onGpu(device: string, usual: number, fitting: number): number {
  return device.startsWith("cuda") ? Math.max(usual, Math.min(MOST, Math.floor(fitting))) : usual;
}
