export function chart(read: (name: string) => string): string;
/** Changes in percent after some steps of stage 2, by the title of the arm. */
export function changes(
  markdown: string,
  steps: number,
  rowStart: string,
): Map<string, { readonly mean: number; readonly low: number; readonly high: number }>;
