/** Ways of the arrow keys. */
export const ARROWS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** Where a pointer is on an element, in 0 … `most` of its width and height. */
export function placeOn(element: Element, { clientX, clientY }: MouseEvent, most: number): [number, number] {
  const { left, top, width, height } = element.getBoundingClientRect();
  return [((clientX - left) / width) * most, ((clientY - top) / height) * most];
}

export const clamp = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));

/** Follows a pointer from where it is pressed until it is let go, and no other: a hand lies beside the pen. */
export function drag(
  element: HTMLElement,
  start: PointerEvent,
  moved: (event: PointerEvent) => void,
  ended: () => void,
): void {
  element.setPointerCapture(start.pointerId);
  const control = new AbortController();
  const { signal } = control;
  const own = (listener: (event: PointerEvent) => void) => (event: PointerEvent) => {
    if (event.pointerId === start.pointerId) listener(event);
  };
  const end = own(() => {
    control.abort();
    ended();
  });
  // Text that it goes over, outside of what it was pressed on, is not meant.
  document.addEventListener("selectstart", (event) => event.preventDefault(), { signal });
  element.addEventListener("pointermove", own(moved), { signal });
  element.addEventListener("pointerup", end, { signal });
  element.addEventListener("pointercancel", end, { signal });
}
