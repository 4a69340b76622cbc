import { byId, h, showPixels } from "../dom.ts";

/** A picture in one place of the grid. */
export interface Picture {
  pixels: Uint8Array | undefined;
  tokens: Int32Array | undefined;
  /** How much of it is drawn of what is there now. */
  share: number;
}

/** The grid of pictures, and the one of them that is shown large. */
export class Gallery {
  readonly focus: HTMLCanvasElement;
  /** What the large picture lies on. */
  readonly surface: HTMLElement;
  readonly #mini = byId("mini", HTMLCanvasElement);
  readonly #grid = byId("grid", HTMLElement);
  readonly #size: number;
  readonly #chosen: () => void;
  #places: { picture: Picture; canvas: HTMLCanvasElement; cell: HTMLElement; button: HTMLInputElement }[] = [];
  #at = 0;

  /** @param size pixels a side @param chosen another picture is in focus now */
  constructor(size: number, chosen: () => void) {
    this.#size = size;
    this.#chosen = chosen;
    this.focus = h("canvas", { width: size, height: size, class: "picture", role: "img" });
    this.surface = h("div", { class: "surface blank" }, this.focus);
    byId("focus", HTMLElement).replaceChildren(this.surface);
    this.#grid.replaceChildren();
    this.#label();
  }

  /** The place of the picture in focus. */
  get place(): number {
    return this.#at;
  }

  get picture(): Picture | undefined {
    return this.#places[this.#at]?.picture;
  }

  /** Makes room for as many pictures; those that are there stay. */
  resize(count: number): void {
    while (this.#places.length > count) this.#places.pop()!.cell.remove();
    for (let i = this.#places.length; i < count; i++) {
      const canvas = h("canvas", { width: this.#size, height: this.#size, "aria-hidden": "true" });
      const button = h("input", {
        type: "radio",
        name: "picture",
        "aria-label": `Picture ${i + 1}`,
        change: () => this.choose(i),
      });
      const cell = h("label", { class: "cell" }, button, canvas);
      this.#grid.append(cell);
      this.#places.push({ picture: { pixels: undefined, tokens: undefined, share: 0 }, canvas, cell, button });
    }
    this.choose(Math.min(this.#at, count - 1));
  }

  /** Brings a picture into focus. */
  choose(place: number): void {
    this.#at = place;
    for (const [i, { button }] of this.#places.entries()) button.checked = i === place;
    const { pixels } = this.picture!;
    if (pixels !== undefined) this.#enlarge(pixels);
    this.#label();
    this.#chosen();
  }

  /** Says of all pictures that they are of an earlier condition: they are to be drawn yet. */
  outdate(): void {
    for (const { cell, picture } of this.#places) {
      cell.classList.add("old");
      picture.share = 0;
    }
  }

  /** Shows a picture, or one on the way. */
  show(place: number, { pixels, tokens, share }: { pixels: Uint8Array; tokens?: Int32Array; share: number }): void {
    const there = this.#places[place];
    if (there === undefined) return;
    there.picture = { pixels, tokens, share };
    there.cell.classList.remove("old");
    there.cell.style.setProperty("--share", String(share));
    showPixels(there.canvas, pixels, this.#size);
    if (place !== this.#at) return;
    this.surface.classList.remove("blank");
    this.#enlarge(pixels);
  }

  /** Shows a picture large, and on small screens, where that is out of sight, beside what is painted. */
  #enlarge(pixels: Uint8Array): void {
    showPixels(this.focus, pixels, this.#size);
    showPixels(this.#mini, pixels, this.#size);
  }

  #label(): void {
    this.focus.setAttribute("aria-label", `Picture ${this.#at + 1}, large`);
  }
}
