type Child = Node | string;
type Value = string | number | boolean | ((event: never) => void) | undefined;

/**
 * An element with attributes, listeners and children.
 *
 * @param values functions become listeners of the event they are named by, `true` an empty attribute, `false` and `undefined` none
 */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  values: Readonly<Record<string, Value>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(values)) {
    if (typeof value === "function") element.addEventListener(name, value as (event: Event) => void);
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children);
  return element;
}

/** The element of the page that has this id, and is of this class. */
export function byId<E extends HTMLElement>(id: string, kind: new () => E): E {
  const element = document.getElementById(id);
  if (element instanceof kind) return element;
  throw new Error(`the page has no ${kind.name} with the id "${id}"`);
}

/**
 * For a part of the page that is about to be made anew: its focus, which goes to what has the same title then.
 *
 * @returns gives it back, unless something else has it by then
 */
export function keepFocus(part: HTMLElement): () => void {
  const title = part.contains(document.activeElement) ? document.activeElement!.getAttribute("title") : null;
  return () => {
    if (title === null || document.activeElement !== document.body) return;
    part.querySelector<HTMLElement>(`[title="${CSS.escape(title)}"]`)?.focus({ preventScroll: true });
  };
}

/** RGB bytes `[side, side, 3]` into a canvas, which takes their size. */
export function showPixels(canvas: HTMLCanvasElement, rgb: Uint8Array, side: number): void {
  if (canvas.width !== side || canvas.height !== side) {
    canvas.width = side;
    canvas.height = side;
  }
  const image = new ImageData(side, side);
  for (let i = 0; i < side * side; i++) {
    image.data[4 * i] = rgb[3 * i]!;
    image.data[4 * i + 1] = rgb[3 * i + 1]!;
    image.data[4 * i + 2] = rgb[3 * i + 2]!;
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d")!.putImageData(image, 0, 0);
}

/** Tells those who hear the page. */
export function announce(text: string): void {
  byId("announcer", HTMLElement).textContent = text;
}
