import { announce, h } from "../dom.ts";
import { ARROWS, clamp, drag, placeOn } from "../editors/editor.ts";

/** Which tokens of a picture are drawn anew, painted over the picture. */
export class Mask {
  readonly element: HTMLElement;
  readonly #cells: HTMLElement[];
  readonly #grid: readonly [rows: number, columns: number];
  readonly #changed: () => void;
  #at = 0;

  /** @param changed the mask is another one, and the stroke has ended */
  constructor(grid: readonly [rows: number, columns: number], changed: () => void) {
    const [rows, columns] = grid;
    this.#grid = grid;
    this.#changed = changed;
    this.#cells = Array.from({ length: rows * columns }, () => h("span"));
    this.element = h(
      "div",
      {
        class: "mask",
        tabindex: 0,
        role: "application",
        "aria-label": "What to draw anew: arrow keys move, the space bar marks",
        style: `--columns: ${columns}; --rows: ${rows}`,
        pointerdown: (event: PointerEvent) => this.#paint(event),
        keydown: (event: KeyboardEvent) => this.#key(event),
      },
      ...this.#cells,
    );
  }

  /** The tokens that stay, and −1 for those that are marked. */
  apply(tokens: Int32Array): Int32Array {
    return tokens.map((token, i) => (this.#cells[i]!.classList.contains("on") ? -1 : token));
  }

  /** Marks what is −1. */
  show(fixed: Int32Array): void {
    for (const [i, cell] of this.#cells.entries()) cell.classList.toggle("on", fixed[i] === -1);
  }

  #paint(event: PointerEvent): void {
    if (event.button !== 0) return;
    const on = !this.#cells[this.#index(event)]!.classList.contains("on");
    const set = (to: MouseEvent) => this.#cells[this.#index(to)]!.classList.toggle("on", on);
    set(event);
    drag(this.element, event, set, this.#changed);
  }

  #index(event: MouseEvent): number {
    const [rows, columns] = this.#grid;
    const [x, y] = placeOn(this.element, event, 1);
    return clamp(Math.floor(y * rows), 0, rows - 1) * columns + clamp(Math.floor(x * columns), 0, columns - 1);
  }

  #key(event: KeyboardEvent): void {
    const [rows, columns] = this.#grid;
    const arrow = ARROWS[event.key];
    if (arrow !== undefined) {
      this.#cells[this.#at]!.classList.remove("here");
      const x = clamp((this.#at % columns) + arrow[0], 0, columns - 1);
      const y = clamp(Math.floor(this.#at / columns) + arrow[1], 0, rows - 1);
      this.#at = y * columns + x;
      this.#cells[this.#at]!.classList.add("here");
      const marked = this.#cells[this.#at]!.classList.contains("on") ? "marked" : "kept";
      announce(`column ${x + 1}, row ${y + 1}: ${marked}`);
    } else if (event.key === " " || event.key === "Enter") {
      announce(this.#cells[this.#at]!.classList.toggle("on") ? "marked" : "kept");
      this.#changed();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
