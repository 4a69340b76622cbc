import { announce, h } from "../dom.ts";
import { ARROWS, clamp, drag, placeOn } from "../pointer.ts";

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
    let from = placeOn(this.element, event, 1);
    const on = !this.#cells[this.#index(from)]!.classList.contains("on");
    /** All cells on the way: a fast pointer is seen in few places. */
    const set = (to: readonly [number, number]) => {
      const steps = 2 * Math.max(...this.#grid);
      for (let i = 0; i <= steps; i++) {
        const [x, y] = [0, 1].map((axis) => from[axis]! + ((to[axis]! - from[axis]!) * i) / steps) as [number, number];
        this.#cells[this.#index([x, y])]!.classList.toggle("on", on);
      }
      from = [...to];
    };
    set(from);
    drag(this.element, event, (moved) => set(placeOn(this.element, moved, 1)), this.#changed);
  }

  #index([x, y]: readonly [number, number]): number {
    const [rows, columns] = this.#grid;
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
