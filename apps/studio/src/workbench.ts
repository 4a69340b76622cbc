import type { WorkerGenerator } from "@iqvae/runtime";
import { act, filePicker, worded } from "./buttons.ts";
import { announce, byId } from "./dom.ts";
import { Drawer } from "./drawing/drawer.ts";
import { anotherSeed, readSettings } from "./drawing/settings.ts";
import { FRESH, fitting } from "./drawing/source.ts";
import { exampleButtons, examplesOf } from "./editors/examples.ts";
import { History } from "./editors/history.ts";
import { type Editor, editorFor } from "./editors/index.ts";
import { saveCondition, savePicture, saveWork } from "./keep/download.ts";
import { dropLink, linkTo } from "./keep/link.ts";
import { keep } from "./keep/store.ts";
import { type Kept, readWork } from "./keep/work.ts";
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
  #own: boolean;
  #closed = false;

  /**
   * @param options `own` is false for work of a link, which takes the place of somebody's own once they have changed it; `fault` shows
   * what went wrong, `undefined` that nothing did; `open` opens work on any model
   */
  constructor(
    generator: WorkerGenerator,
    options: {
      place: Place;
      work: Kept | undefined;
      own: boolean;
      status: Status;
      fault: (error: Error | undefined) => void;
      open: (work: Kept) => Promise<void>;
    },
  ) {
    const { place, work, own, status, fault } = options;
    const { model, condition } = generator;
    this.generator = generator;
    this.#place = place;
    this.#own = own;
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
    this.#history = new History(first);
    this.#ways.show(fitting(work?.source ?? FRESH, model));
    this.#layOut(exampleButtons(model, condition, (bytes) => this.#show(bytes)));
    if (own) this.#update();
    else this.#draw();
  }

  /** What is kept of all this. */
  get work(): Kept {
    const { settings } = this.#panel;
    const condition = this.#editor.value() ?? this.#history.left;
    return { model: this.#place.key, condition, settings, source: this.#ways.source };
  }

  /** @returns whether the key meant something */
  key(event: KeyboardEvent): boolean {
    if (event.ctrlKey || event.metaKey) {
      const key = event.key.toLowerCase();
      if (key !== "z" && key !== "y") return false;
      this.#go(key === "y" || event.shiftKey ? "redo" : "undo");
      return true;
    }
    if (event.altKey) return false;
    if (event.key.toLowerCase() === "n") this.#panel.reseed();
    else return this.#editor.key?.(event) ?? false;
    return true;
  }

  /** Ends what is being drawn, and gives the memory back. What comes after that, as of a photo that takes its time, is of no use. */
  async close(): Promise<void> {
    this.#drawer.stop();
    this.#keepNow();
    this.#closed = true;
    this.#editor.close?.();
    await this.generator.dispose();
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
      act("download", "Download what you made", () => this.#try(this.#saveCondition())),
    );
    byId("picture-acts", HTMLElement).replaceChildren(
      ...this.#ways.acts,
      act("download", "Download this picture", () => this.#try(this.#savePicture())),
    );
    byId("keep", HTMLElement).replaceChildren(
      worded("link", "Copy a link", () => this.#try(this.#copyLink())),
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
    const { model, condition } = this.generator;
    for (const bytes of [kept, ...examplesOf(model)]) {
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
    this.#history.push(condition);
    const { settings } = this.#panel;
    if (!settings.locked) this.#panel.show({ ...settings, seed: anotherSeed(settings.seed) });
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

  /** Draws what was changed, and keeps it. */
  #update(): void {
    if (this.#closed) return;
    this.#claim();
    this.#draw();
    clearTimeout(this.#keeping);
    this.#keeping = setTimeout(() => this.#keepNow(), KEEP_AFTER);
  }

  /** From the first change on the work is somebody's own, and the address leads to no other. */
  #claim(): void {
    this.#own = true;
    dropLink();
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

  #keepNow(): void {
    clearTimeout(this.#keeping);
    if (this.#own && typeof this.#place.source === "string") void keep(this.work);
  }

  #refresh(): void {
    this.#undo.disabled = !this.#history.canUndo;
    this.#redo.disabled = !this.#history.canRedo;
  }

  #show(condition: Uint8Array): void {
    this.#editor.show(condition);
    this.#history.push(condition);
    this.#update();
  }

  #go(where: "undo" | "redo"): void {
    const condition = this.#history[where]();
    if (condition === undefined) return;
    this.#editor.show(condition);
    announce(where === "undo" ? "undone" : "done again");
    this.#update();
  }

  async #saveCondition(): Promise<void> {
    const bytes = this.#editor.value();
    if (bytes !== undefined) await saveCondition(bytes, this.generator.model, this.generator.condition);
  }

  async #savePicture(): Promise<void> {
    const { picture, place } = this.#gallery;
    if (picture?.pixels !== undefined) await savePicture(picture.pixels, this.generator.model, place + 1);
  }

  async #openFile(file: File): Promise<void> {
    let work: Kept;
    try {
      work = readWork(await file.text());
    } catch (error) {
      throw new Error(`${file.name} cannot be read: ${(error as Error).message}. Choose a file of settings.`);
    }
    if (!this.#closed) await this.#open(work);
  }

  async #copyLink(): Promise<void> {
    const link = await linkTo(this.work);
    try {
      // Without HTTPS there is no clipboard.
      await navigator.clipboard.writeText(link);
    } catch {
      history.replaceState(null, "", link);
      throw new Error("The browser does not let this page copy; take the link from its address.");
    }
    announce("The link is copied");
  }

  #try(promise: Promise<void>): void {
    promise.catch((error: Error) => this.#fault(error));
  }
}
