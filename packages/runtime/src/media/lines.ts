/**
 * A line drawing, of dark lines on white. A pixel is a line when at least half as much of it is ink as a line of one pixel would leave
 * there, so that thin lines of a large drawing do not vanish [O].
 *
 * @param gray one byte a pixel
 * @param shrunk how often wider the drawing was before it was scaled; up to 1 it was not
 * @returns 0 or 1 (line) for each pixel
 */
export function linesOfGray(gray: Uint8Array, shrunk = 1): Uint8Array {
  const ink = (0.5 * 255) / Math.max(1, shrunk);
  return gray.map((value) => (255 - value >= ink ? 1 : 0));
}
