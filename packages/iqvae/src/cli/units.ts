/** Three digits, and no exponent however large the number is. */
export function inDigits(value: number): string {
  return value.toLocaleString("en", { minimumSignificantDigits: 3, maximumSignificantDigits: 3 });
}

/** Seconds in the unit that people read most easily. */
export function inUnits(seconds: number): string {
  if (seconds < 0.9995) return `${inDigits(1000 * seconds)} ms`;
  return seconds < 120 ? `${inDigits(seconds)} s` : `${(seconds / 60).toFixed(1)} min`;
}
