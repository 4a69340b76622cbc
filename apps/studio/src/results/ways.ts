import { enable, worded } from "../buttons.ts";
import { byId, h } from "../dom.ts";
import { FRESH, type Source } from "../drawing/source.ts";
import type { Gallery } from "./gallery.ts";
import { Mask } from "./mask.ts";

/**
 * How far from a picture those like it are, at first. With the model of the box half of the tokens are others at 0.1, and nearly all from
 * 0.3 on: what one token changes, all later ones follow.
 */
const NEAR = 0.1;

/** What pictures are drawn from, beside their condition: nothing, a picture that they are like, a picture of which a part is kept. */
export class Ways {
  /** Buttons that begin one. */
  readonly acts: readonly HTMLButtonElement[];
  readonly #gallery: Gallery;
  readonly #grid: readonly [number, number];
  readonly #changed: (said: string) => void;
  #source: Source = FRESH;
  #mask: Mask | undefined;

  /** @param seed of the pictures that are there @param changed the source is another one, in words */
  constructor(
    gallery: Gallery,
    grid: readonly [number, number],
    { seed, changed }: { seed: () => number; changed: (said: string) => void },
  ) {
    this.#gallery = gallery;
    this.#grid = grid;
    this.#changed = changed;
    this.acts = [
      worded("like", "More like this", () => this.#like(seed(), this.#gallery.place)),
      worded("mask", "Redraw a part", () => this.#redraw()),
    ];
  }

  get source(): Source {
    return this.#source;
  }

  /** Takes another source, without a word. The focus goes to what comes in the place of what had it, else to what began that. */
  show(source: Source): void {
    const notice = byId("notice", HTMLElement);
    const { activeElement } = document;
    const focused = notice.contains(activeElement) || (activeElement !== null && activeElement === this.#mask?.element);
    const [like, redraw] = this.acts;
    const began = this.#source.kind === "redraw" ? redraw : like;
    this.#source = source;
    this.#mask?.element.remove();
    this.#mask = undefined;
    if (source.kind === "redraw") {
      const mask = new Mask(this.#grid, () => this.#masked(source.base, mask));
      mask.show(source.fixed);
      this.#mask = mask;
      this.#gallery.surface.append(mask.element);
    }
    notice.replaceChildren(...this.#notice());
    this.refresh();
    if (focused) (this.#mask?.element ?? notice.querySelector("input") ?? began)!.focus({ preventScroll: true });
  }

  /** Looks at which of the buttons mean something. */
  refresh(): void {
    const [like, redraw] = this.acts;
    enable(like!, this.#source.kind === "fresh" && this.#gallery.picture?.pixels !== undefined);
    enable(redraw!, this.#base !== undefined);
  }

  /** Tokens of the picture in focus, once all of them are there. */
  get #base(): Int32Array | undefined {
    const { picture } = this.#gallery;
    return picture?.share === 1 ? picture.tokens : undefined;
  }

  #take(source: Source, said: string): void {
    this.show(source);
    this.#changed(said);
  }

  #like(seed: number, sample: number): void {
    this.#take({ kind: "like", seed, sample, distance: NEAR }, `Pictures like number ${sample + 1}`);
    this.#gallery.choose(0);
  }

  /** Begins with a mask on which nothing is marked: all is kept. */
  #redraw(): void {
    const base = this.#base;
    if (base === undefined) return;
    this.show({ kind: "redraw", fixed: base.slice(), base });
    this.#mask!.element.focus({ preventScroll: true });
  }

  #masked(base: Int32Array, mask: Mask): void {
    this.#source = { kind: "redraw", base, fixed: mask.apply(base) };
    this.#changed("The marked part is drawn anew");
  }

  #notice(): Node[] {
    const source = this.#source;
    if (source.kind === "fresh") return [];
    const click = () => this.#take(FRESH, "All pictures anew");
    const anew = h("button", { type: "button", class: "plain", click }, "All anew");
    if (source.kind === "redraw")
      return [h("div", { class: "way" }, h("p", {}, "Mark what is to be drawn anew; the rest stays."), anew)];
    const slider = h("input", {
      type: "range",
      min: 0.02,
      max: 0.5,
      step: 0.02,
      value: source.distance,
      "aria-label": "Distance",
      // The slider stays, so that keys can go on.
      change: () => {
        this.#source = { ...source, distance: Number(slider.value) };
        this.#changed(`Distance ${slider.value}`);
      },
    });
    const range = h("div", { class: "near" }, h("span", {}, "near"), slider, h("span", {}, "far"));
    return [h("div", { class: "way" }, h("p", {}, `Like picture ${source.sample + 1}`), range, anew)];
  }
}
