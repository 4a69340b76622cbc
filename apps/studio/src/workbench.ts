import type { WorkerGenerator } from "@iqvae/runtime";
import { act, enable, filePicker, worded } from "./buttons.ts";
import { announce, byId } from "./dom.ts";
import { Drawer } from "./drawing/drawer.ts";
import { anotherSeed, readSettings } from "./drawing/settings.ts";
import { FRESH, fitting } from "./drawing/source.ts";
import { exampleButtons } from "./editors/examples.ts";
import { type Editor, editorFor } from "./editors/index.ts";
import { History } from "./history.ts";
import { canSave, saveCondition, savePicture, saveWork } from "./keep/download.ts";
import { copyLink, dropLink } from "./keep/link.ts";
import { keep, noteLast } from "./keep/store.ts";
import { type Given, type Kept, workIn } from "./keep/work.ts";
import { characterOf } from "./keys.ts";
import type { Place } from "./models/list.ts";
import { photoActs } from "./photo.ts";
import { Gallery } from "./results/gallery.ts";
import { Ways } from "./results/ways.ts";
import { SettingsPanel } from "./settings/panel.ts";
import type { Status } from "./status.ts";

/** Milliseconds after a change until it is kept. */
const KEEP_AFTER = 250;

/** One model that is open, with all that is made for it. */
export class Workbench {
  readonly generator: WorkerGenerator;
  readonly #place: Place;
  readonly #editor: Editor;
  readonly #history: History;
  readonly #gallery: Gallery;
  readonly #ways: Ways;
  readonly #drawer: Drawer;
  readonly #panel: SettingsPanel;
  readonly #status: Status;
  readonly #fault: (error: Error | undefined) => void;
  readonly #open: (work: Kept) => Promise<void>;
  readonly #undo = act("undo", "Undo", () => this.#go("undo"), "Ctrl Z");
  readonly #redo = act("redo", "Redo", () => this.#go("redo"), "Ctrl Y");
  #keeping: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  /**
   * @param options `kept` is what there was at the last visit; `fault` shows what went wrong, `undefined` that nothing did; `open` opens
   * work of a file on any model
   */
  constructor(
    generator: WorkerGenerator,
    options: {
      place: Place;
      given: Given | undefined;
      kept: Kept | undefined;
      status: Status;
      fault: (error: Error | undefined) => void;
      open: (work: Kept) => Promise<void>;
    },
  ) {
    const { place, given, status, fault } = options;
    const work = given?.work ?? options.kept;
    const { model } = generator;
    this.generator = generator;
    this.#place = place;
    this.#status = status;
    this.#fault = (error) => {
      if (!this.#closed) fault(error);
    };
    this.#open = options.open;
    this.#editor = editorFor(model.condition, model.size, {
      changed: (ended) => this.#changed(ended),
      problem: this.#fault,
    });
    this.#gallery = new Gallery(model.size, () => this.#ways?.refresh());
    const settings = readSettings(work?.settings, model);
    this.#panel = new SettingsPanel(settings, model.transformer.unconditional, ({ samples }) => {
      this.#gallery.resize(samples);
      this.#update();
    });
    this.#ways = new Ways(this.#gallery, model.grids.image, {
      seed: () => this.#panel.settings.seed,
      changed: (said) => {
        announce(said);
        this.#push(this.#editor.value() ?? this.#history.now.condition);
        this.#update();
      },
    });
    this.#drawer = new Drawer(generator, {
      frame: (at, frame) => {
        this.#gallery.show(at, frame);
        this.#ways.refresh();
      },
      begun: () => this.#outdate(),
      done: (seconds) => this.#done(seconds),
      failed: this.#fault,
    });
    this.#gallery.resize(settings.samples);
    const first = this.#first(work?.condition);
    this.#editor.show(first);
    const source = fitting(work?.source ?? FRESH, model);
    this.#history = new History({ condition: first, source });
    this.#ways.show(source);
    this.#layOut(exampleButtons(generator, (bytes) => this.#show(bytes)));
    this.#draw();
    if (given?.from === "link") return;
    dropLink();
    // Work that nobody has changed is not kept once more: another page may have kept newer work since.
    if (given === undefined) void noteLast(place.key);
    else this.#keepSoon();
  }

  /** What is kept of all this. */
  get work(): Kept {
    const { settings } = this.#panel;
    const condition = this.#editor.value() ?? this.#history.now.condition;
    return { model: this.#place.key, condition, settings, source: this.#ways.source };
  }

  /** @returns whether the key meant something */
  key(event: KeyboardEvent): boolean {
    const key = characterOf(event);
    // Many keyboards have brackets behind Option or AltGr, which may count as Ctrl with Alt.
    if (event.altKey && (event.metaKey || (key !== "[" && key !== "]"))) return false;
    if (!event.altKey && (event.ctrlKey || event.metaKey)) {
      if (key !== "z" && key !== "y") return false;
      this.#go(key === "y" || event.shiftKey ? "redo" : "undo");
    } else if (key === "n") this.#panel.reseed();
    else return this.#editor.key?.(key) ?? false;
    return true;
  }

  /** Ends what is being drawn, and gives the memory back. What comes after that, as of a photo that takes its time, is of no use. */
  async close(): Promise<void> {
    this.#drawer.stop();
    this.flush();
    this.#closed = true;
    this.#editor.close?.();
    await this.generator.dispose();
  }

  /** Keeps at once what is yet to be kept. */
  flush(): void {
    if (this.#keeping === undefined) return;
    clearTimeout(this.#keeping);
    this.#keeping = undefined;
    void keep(this.work);
  }

  #layOut(examples: readonly Node[]): void {
    const editor = this.#editor;
    byId("make-title", HTMLElement).textContent = editor.title;
    byId("hint", HTMLElement).textContent = editor.hint;
    byId("surface-help", HTMLElement).textContent = editor.keys;
    byId("surface", HTMLElement).replaceChildren(editor.surface);
    byId("tools", HTMLElement).replaceChildren(editor.tools);
    byId("examples", HTMLElement).replaceChildren(...examples);
    byId("acts", HTMLElement).replaceChildren(
      ...photoActs(editor, (promise) => this.#try(promise)),
      this.#undo,
      this.#redo,
      act("clear", "Clear", () => this.#show(editor.blank)),
      ...(canSave(this.generator.model)
        ? [act("download", "Download what you made", () => this.#try(this.#saveCondition()))]
        : []),
    );
    byId("picture-acts", HTMLElement).replaceChildren(
      ...this.#ways.acts,
      act("download", "Download this picture", () => this.#try(this.#savePicture())),
    );
    byId("keep", HTMLElement).replaceChildren(
      worded("link", "Copy a link", () => this.#try(copyLink(this.work))),
      worded("download", "Settings as a file", () => saveWork(this.work)),
      ...filePicker(
        ".json",
        "Open such a file",
        (file) => this.#try(this.#openFile(file)),
        (click) => worded("folder", "Open such a file", click),
      ),
    );
    this.#refresh();
  }

  /** What was kept, else an example, else nothing. */
  #first(kept: Uint8Array | undefined): Uint8Array {
    const { condition, examples } = this.generator;
    for (const bytes of [kept, ...examples]) {
      try {
        if (bytes === undefined) continue;
        condition.check(bytes);
        return bytes;
      } catch {
        // Of another version of the model.
      }
    }
    return this.#editor.blank;
  }

  #changed(ended: boolean): void {
    if (this.#closed) return;
    this.#claim();
    const condition = this.#editor.value();
    if (condition === undefined) this.#history.stray();
    else if (ended) this.#step(condition);
    else this.#drawer.preview(this.#wish(condition), this.#gallery.place);
    if (ended) this.#update();
  }

  #step(condition: Uint8Array): void {
    const { settings } = this.#panel;
    if (this.#push(condition) && !settings.locked) this.#panel.show({ ...settings, seed: anotherSeed(settings.seed) });
  }

  #draw(): void {
    this.#fault(undefined);
    const condition = this.#editor.value();
    if (condition === undefined) {
      this.#drawer.stop();
      this.#outdate();
    } else this.#drawer.draw(this.#wish(condition), this.#gallery.place);
    this.#refresh();
  }

  /** Draws what was changed. */
  #update(): void {
    if (this.#closed) return;
    this.#claim();
    this.#draw();
  }

  /** What somebody changes is their own: it is kept, and the address leads to no other. */
  #claim(): void {
    dropLink();
    this.#keepSoon();
  }

  #keepSoon(): void {
    clearTimeout(this.#keeping);
    this.#keeping = setTimeout(() => this.flush(), KEEP_AFTER);
  }

  #wish(condition: Uint8Array) {
    return { condition, settings: this.#panel.settings, source: this.#ways.source };
  }

  #outdate(): void {
    this.#gallery.outdate();
    this.#ways.refresh();
  }

  #done(seconds: number): void {
    const { samples } = this.#panel.settings;
    this.#status.drew(samples, seconds);
    this.#panel.time(seconds / samples);
    announce(samples === 1 ? "The picture is drawn" : `${samples} pictures are drawn`);
  }

  #refresh(): void {
    enable(this.#undo, this.#history.canUndo);
    enable(this.#redo, this.#history.canRedo);
  }

  #show(condition: Uint8Array): void {
    this.#editor.show(condition);
    this.#push(condition);
    this.#update();
  }

  /** @returns whether it is a step */
  #push(condition: Uint8Array): boolean {
    return this.#history.push({ condition, source: this.#ways.source });
  }

  #go(where: "undo" | "redo"): void {
    const state = this.#history[where]();
    if (state === undefined) return;
    this.#editor.show(state.condition);
    if (state.source !== this.#ways.source) this.#ways.show(state.source);
    announce(where === "undo" ? "undone" : "done again");
    this.#update();
  }

  async #saveCondition(): Promise<void> {
    const bytes = this.#editor.value();
    if (bytes === undefined) throw new Error("There is nothing to download yet: what is there, no model can follow.");
    await saveCondition(bytes, this.generator.model, this.generator.condition);
  }

  async #savePicture(): Promise<void> {
    const { picture, place } = this.#gallery;
    if (picture?.pixels === undefined || picture.share < 1)
      throw new Error("There is nothing to download yet: this picture is not drawn.");
    await savePicture(picture.pixels, this.generator.model, place + 1);
  }

  async #openFile(file: File): Promise<void> {
    const work = await workIn(file);
    if (!this.#closed) await this.#open(work);
  }

  #try(promise: Promise<void>): void {
    promise.catch((error: Error) => this.#fault(error));
  }
}
