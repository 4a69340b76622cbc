import { WorkerGenerator } from "@iqvae/runtime";
import { byId, h } from "./dom.ts";
import { Drawer } from "./drawing/drawer.ts";
import { anotherSeed, defaultSettings } from "./drawing/settings.ts";
import { FRESH, type Source } from "./drawing/source.ts";
import { History } from "./editors/history.ts";
import { type Editor, editorFor } from "./editors/index.ts";
import { type IconName, icon } from "./icons.ts";
import { DEEDS, fetchModels, type ModelEntry } from "./models/list.ts";
import { Gallery } from "./results/gallery.ts";
import { SettingsPanel } from "./settings/panel.ts";

/** One model that is open, with what is made for it. */
interface Work {
  readonly generator: WorkerGenerator;
  readonly editor: Editor;
  readonly history: History;
  readonly gallery: Gallery;
  readonly drawer: Drawer;
  readonly panel: SettingsPanel;
  source: Source;
}

export class Studio {
  #entries: readonly ModelEntry[] = [];
  #work: Work | undefined;

  async open(): Promise<void> {
    this.#entries = await fetchModels();
    const nav = byId("models", HTMLElement);
    nav.replaceChildren(
      ...this.#entries.map(({ name, kind }) =>
        h(
          "button",
          { type: "button", "data-model": name, click: () => void this.#openModel(name) },
          icon(kind === "edges" ? "lines" : kind),
          h("span", {}, DEEDS[kind]),
          h("small", {}, name),
        ),
      ),
    );
    document.addEventListener("keydown", (event) => this.#key(event));
    await this.#openModel(this.#entries[0]!.name);
  }

  async #openModel(name: string): Promise<void> {
    for (const tab of byId("models", HTMLElement).querySelectorAll("button"))
      tab.setAttribute("aria-pressed", String(tab.dataset.model === name));
    this.#work?.drawer.stop();
    void this.#work?.generator.dispose();
    const generator = await WorkerGenerator.load(`models/${name}/`);
    this.#start(generator);
  }

  #start(generator: WorkerGenerator): void {
    const { model } = generator;
    const editor = editorFor(model.condition, model.size, { changed: (ended) => this.#changed(ended) });
    const gallery = new Gallery(model.size, () => {});
    const drawer = new Drawer(generator, {
      frame: (place, frame) => gallery.show(place, frame),
      begun: () => gallery.outdate(),
      done: (seconds) => panel.time(seconds / panel.settings.samples),
      failed: (error) => {
        throw error;
      },
    });
    const panel = new SettingsPanel(defaultSettings(model), model.transformer.unconditional, ({ samples }) => {
      gallery.resize(samples);
      this.#draw();
    });
    gallery.resize(panel.settings.samples);
    const [example] = model.examples ?? [];
    const first = example === undefined ? editor.blank : Uint8Array.from(atob(example), (byte) => byte.charCodeAt(0));
    editor.show(first);
    const history = new History(first);
    this.#work = { generator, editor, history, gallery, drawer, panel, source: FRESH };
    byId("surface", HTMLElement).replaceChildren(editor.surface);
    byId("tools", HTMLElement).replaceChildren(editor.tools);
    const act = (name: IconName, label: string, key: string, click: () => void) =>
      h(
        "button",
        { type: "button", class: "tool", title: `${label} (${key})`, "aria-label": label, click },
        icon(name),
      );
    byId("acts", HTMLElement).replaceChildren(
      act("undo", "Undo", "Ctrl Z", () => this.#go("undo")),
      act("redo", "Redo", "Ctrl Y", () => this.#go("redo")),
      act("clear", "Clear", "Del", () => this.#show(editor.blank)),
    );
    this.#draw();
  }

  #changed(ended: boolean): void {
    const { editor, history, drawer, gallery, panel, source } = this.#work!;
    const condition = editor.value();
    if (condition === undefined) return;
    if (!ended) {
      drawer.preview({ condition, settings: panel.settings, source }, gallery.place);
      return;
    }
    history.push(condition);
    if (!panel.settings.locked) panel.show({ ...panel.settings, seed: anotherSeed(panel.settings.seed) });
    this.#draw();
  }

  #draw(): void {
    const { editor, drawer, panel, source } = this.#work!;
    const condition = editor.value();
    if (condition === undefined) drawer.stop();
    else drawer.draw({ condition, settings: panel.settings, source });
  }

  #show(condition: Uint8Array): void {
    const { editor, history } = this.#work!;
    editor.show(condition);
    history.push(condition);
    this.#draw();
  }

  #go(where: "undo" | "redo"): void {
    const { editor, history } = this.#work!;
    const condition = history[where]();
    if (condition === undefined) return;
    editor.show(condition);
    this.#draw();
  }

  #key(event: KeyboardEvent): void {
    if (this.#work === undefined || event.target instanceof HTMLTextAreaElement) return;
    if (event.ctrlKey || event.metaKey) {
      if (event.key === "z") this.#go(event.shiftKey ? "redo" : "undo");
      else if (event.key === "y") this.#go("redo");
      else return;
    } else if (event.altKey || !this.#work.editor.key?.(event)) return;
    event.preventDefault();
  }
}
