/** `1 pair`, `2 pairs`. @param thing takes an s */
export function amount(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}
