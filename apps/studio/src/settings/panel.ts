import { byId, h } from "../dom.ts";
import { anotherSeed, MOST_SAMPLES, type Settings } from "../drawing/settings.ts";
import { icon } from "../icons.ts";

interface Slider {
  readonly name: "samples" | "temperature" | "topP" | "guidance";
  readonly label: string;
  readonly low: number;
  readonly high: number;
  readonly step: number;
  /** What it does, and what it costs. */
  readonly note: string;
}

const SLIDERS: readonly Slider[] = [
  { name: "samples", label: "Pictures", low: 1, high: MOST_SAMPLES, step: 1, note: "Each takes its time." },
  {
    name: "temperature",
    label: "Temperature",
    low: 0.1,
    high: 1.5,
    step: 0.05,
    note: "Lower is safer, higher more varied. Costs nothing.",
  },
  {
    name: "topP",
    label: "Top-p",
    low: 0.1,
    high: 1,
    step: 0.05,
    note: "Leaves out what is unlikely. Costs next to nothing.",
  },
  {
    name: "guidance",
    label: "Guidance",
    low: 0,
    high: 5,
    step: 0.25,
    note: "Above 1 follows you more closely. Anything but 1 takes twice the time.",
  },
];

/** The fields of the settings. */
export class SettingsPanel {
  #settings: Settings;
  readonly #fields = new Map<
    Slider["name"],
    { input: HTMLInputElement; output: HTMLOutputElement; note: HTMLElement }
  >();
  readonly #seed: HTMLInputElement;
  readonly #lock: HTMLButtonElement;
  readonly #changed: (settings: Settings) => void;

  /** @param guided whether the model can be guided */
  constructor(settings: Settings, guided: boolean, changed: (settings: Settings) => void) {
    this.#settings = settings;
    this.#changed = changed;
    this.#seed = h("input", {
      type: "number",
      id: "seed",
      min: 0,
      max: 99_999_999,
      step: 1,
      inputmode: "numeric",
      required: true,
      // What is no seed leaves the one that draws.
      change: () => this.#set(this.#seed.validity.valid ? { seed: Number(this.#seed.value) } : {}),
    });
    this.#lock = h("button", {
      type: "button",
      class: "tool",
      click: () => this.#set({ locked: !this.settings.locked }),
    });
    const another = h(
      "button",
      {
        type: "button",
        class: "tool",
        title: "Another seed (N)",
        "aria-label": "Another seed",
        click: () => this.reseed(),
      },
      icon("dice"),
    );
    const seed = h(
      "div",
      { class: "field" },
      h("label", { for: "seed" }, "Seed"),
      h("div", { class: "seed" }, this.#seed, another, this.#lock),
      h("p", { class: "note" }, "The same seed draws the same pictures."),
    );
    const panel = byId("settings", HTMLElement);
    panel.replaceChildren(seed, ...SLIDERS.map((slider) => this.#slider(slider)));
    const guidance = this.#fields.get("guidance")!;
    guidance.input.disabled = !guided;
    if (!guided) guidance.note.textContent = "This model was never trained without conditions, so it cannot be guided.";
    this.show(settings);
  }

  get settings(): Settings {
    return this.#settings;
  }

  /** Takes other settings. */
  show(settings: Settings): void {
    this.#settings = settings;
    this.#seed.value = String(settings.seed);
    this.#lock.replaceChildren(icon(settings.locked ? "lock" : "unlock"));
    this.#lock.setAttribute("aria-pressed", String(settings.locked));
    const does = settings.locked ? "The seed stays from stroke to stroke" : "Every stroke takes another seed";
    this.#lock.title = does;
    this.#lock.setAttribute("aria-label", "Keep the seed");
    for (const [name, { input, output }] of this.#fields) {
      input.value = String(settings[name]);
      output.textContent = String(settings[name]);
    }
  }

  /** Draws with another seed. */
  reseed(): void {
    this.#set({ seed: anotherSeed(this.#settings.seed) });
  }

  /** Says what a picture costs. */
  time(secondsEach: number): void {
    const milliseconds = Math.round(1000 * secondsEach);
    this.#fields.get("samples")!.note.textContent = `Each takes ${milliseconds} ms here.`;
  }

  #set(change: Partial<Settings>): void {
    this.show({ ...this.#settings, ...change });
    this.#changed(this.#settings);
  }

  #slider({ name, label, low, high, step, note }: Slider): HTMLElement {
    const input = h("input", {
      type: "range",
      id: name,
      min: low,
      max: high,
      step,
      "aria-describedby": `${name}-note`,
      input: () => {
        output.textContent = input.value;
      },
      change: () => this.#set({ [name]: Number(input.value) }),
    });
    const output = h("output", { class: "value", for: name });
    const said = h("p", { class: "note", id: `${name}-note` }, note);
    this.#fields.set(name, { input, output, note: said });
    return h("div", { class: "field" }, h("label", { for: name }, label), output, input, said);
  }
}
