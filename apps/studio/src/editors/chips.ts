import type { Rgb } from "@iqvae/runtime";
import { h } from "../dom.ts";

/** Fields with a color and a name each, one or any number of which are chosen. */
export class Chips {
  readonly element: HTMLFieldSetElement;
  readonly #inputs: readonly HTMLInputElement[];

  constructor(options: {
    readonly type: "radio" | "checkbox";
    readonly legend: string;
    readonly entries: readonly { readonly name: string; readonly color: Rgb }[];
    readonly chosen: (index: number, on: boolean) => void;
  }) {
    const { type, legend, entries, chosen } = options;
    const name = `chips-${type}`;
    this.#inputs = entries.map((_, value) => {
      const input = h("input", { type, name, value, change: () => chosen(value, input.checked) });
      return input;
    });
    this.element = h(
      "fieldset",
      { class: "chips" },
      h("legend", { class: "hidden" }, legend),
      ...entries.map(({ name: text, color }, i) =>
        h(
          "label",
          { class: "chip" },
          this.#inputs[i]!,
          h("span", { class: "swatch", style: `--color: rgb(${color.join(" ")})` }),
          h("span", {}, text),
        ),
      ),
    );
  }

  set(index: number, on: boolean): void {
    this.#inputs[index]!.checked = on;
  }
}
