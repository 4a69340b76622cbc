import { type ModelError, WorkerGenerator } from "@iqvae/runtime";
import { showCard } from "./about.ts";
import { act } from "./buttons.ts";
import { byId, h } from "./dom.ts";
import { icon } from "./icons.ts";
import { dropLink, isLink, workOf } from "./keep/link.ts";
import { kept, lastModel } from "./keep/store.ts";
import type { Kept } from "./keep/work.ts";
import { DEEDS, fetchModels, type Place, pickedModel } from "./models/list.ts";
import { keepOffline } from "./offline/offline.ts";
import { megabytes, Status } from "./status.ts";
import { themeButton } from "./theme.ts";
import { Workbench } from "./workbench.ts";

/** The page: models as tabs, and a bench for the one that is open. */
export class Studio {
  #places: Place[] = [];
  #bench: Workbench | undefined;
  /** Of the model that is being loaded. */
  #loading = new AbortController();

  async open(): Promise<void> {
    byId("bar-end", HTMLElement).replaceChildren(...this.#pick(), themeButton());
    document.addEventListener("keydown", (event) => this.#key(event));
    addEventListener("hashchange", () => {
      if (isLink(location.hash)) this.#start().catch((error: Error) => this.#fault(error));
    });
    try {
      this.#places = [...(await fetchModels())];
    } finally {
      this.#showTabs();
    }
    await this.#start();
  }

  /** Opens what the address asks for, else what was open last, else the first model. */
  async #start(): Promise<void> {
    let [linked, trouble]: [Kept | undefined, Error | undefined] = [undefined, undefined];
    try {
      linked = await workOf(location.hash);
    } catch (error) {
      trouble = error as Error;
      dropLink();
    }
    if (linked !== undefined) await this.#openWork(linked, false);
    else if (this.#bench === undefined) {
      const last = await lastModel();
      const place = this.#places.find(({ key }) => key === last) ?? this.#places[0];
      if (place === undefined)
        throw new Error(
          "There is no model beside this page. Open a folder that iqvae export wrote, by the button above.",
        );
      await this.#openModel(place);
    }
    if (trouble !== undefined) this.#fault(trouble);
  }

  /** Opens the model of a link or a file, with all that it says. @param own as a workbench takes it */
  async #openWork(work: Kept, own: boolean): Promise<void> {
    const place = this.#places.find(({ key }) => key === work.model);
    if (place !== undefined) {
      await this.#openModel(place, work, own);
      return;
    }
    dropLink();
    const [first] = this.#places;
    if (this.#bench === undefined && first !== undefined) await this.#openModel(first);
    this.#fault(new Error(`This is work on the model "${work.model}", which is not here.`));
  }

  async #openModel(place: Place, given?: Kept, own = true): Promise<void> {
    this.#loading.abort();
    this.#loading = new AbortController();
    const { signal } = this.#loading;
    for (const tab of byId("models", HTMLElement).querySelectorAll("button")) {
      const chosen = tab.dataset.model === place.key;
      tab.setAttribute("aria-pressed", String(chosen));
      if (chosen) tab.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
    const before = this.#bench;
    this.#bench = undefined;
    byId("main", HTMLElement).inert = true;
    const progress = this.#progress(place);
    let generator: WorkerGenerator | undefined;
    try {
      await before?.close();
      generator = await WorkerGenerator.load(place.source, { progress, signal });
      const work = given ?? (await kept(place.key));
      signal.throwIfAborted();
      this.#fault(undefined);
      this.#furnish(generator, { place, work, own });
      byId("main", HTMLElement).inert = false;
      byId("loading", HTMLElement).replaceChildren();
    } catch (error) {
      // It has no bench that would give its memory back.
      generator?.dispose().catch(() => {});
      if (signal.aborted) return;
      byId("loading", HTMLElement).replaceChildren();
      this.#fault(error as Error, { name: place.name, again: () => void this.#openModel(place, given, own) });
    }
  }

  /** Puts a model that has come on a bench. */
  #furnish(generator: WorkerGenerator, given: { place: Place; work: Kept | undefined; own: boolean }): void {
    const { model } = generator;
    const { place } = given;
    const status = new Status(generator, () => void showCard(model, this.#card(place)));
    this.#bench = new Workbench(generator, {
      ...given,
      status,
      fault: (error) => this.#fault(error),
      open: (next) => this.#openWork(next, true),
    });
    if (typeof place.source === "string")
      void keepOffline(place.source, model).then((kept) => kept && status.offline());
  }

  /** Says how much of a model has come. */
  #progress({ name, bytes }: Place): (loaded: number, total: number) => void {
    const meter = h("progress", { max: 1, value: 0, "aria-label": `Loading ${name}` });
    const text = h("span", {}, `${name}: ${megabytes(bytes)} to download`);
    byId("loading", HTMLElement).replaceChildren(text, meter);
    return (loaded, total) => {
      meter.value = loaded / total;
      text.textContent = `${name}: ${megabytes(loaded)} of ${megabytes(total)}`;
    };
  }

  async #card({ source }: Place): Promise<string> {
    if (typeof source !== "string") {
      const file = source.find(({ name }) => name === "README.md");
      if (file === undefined) throw new Error("there is no README.md in the folder");
      return await file.text();
    }
    const response = await fetch(`${source}README.md`);
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    return await response.text();
  }

  #showTabs(): void {
    byId("models", HTMLElement).replaceChildren(
      ...this.#places.map((place) =>
        h(
          "button",
          {
            type: "button",
            "data-model": place.key,
            title: `${place.size} × ${place.size} pixels, ${megabytes(place.bytes)} to download`,
            click: () => void this.#openModel(place),
          },
          icon(place.kind === "edges" ? "lines" : place.kind),
          h("span", {}, DEEDS[place.kind]),
          h("small", {}, place.name),
        ),
      ),
    );
  }

  /** A button for models from the disk. */
  #pick(): Node[] {
    const input = h("input", {
      type: "file",
      webkitdirectory: true,
      class: "hidden",
      tabindex: -1,
      "aria-label": "Folder of a model",
    });
    const take = async (files: readonly File[]) => {
      const place = await pickedModel(files);
      this.#places = [...this.#places.filter(({ key }) => key !== place.key), place];
      this.#showTabs();
      await this.#openModel(place);
    };
    input.addEventListener("change", () => {
      const files = [...(input.files ?? [])];
      input.value = "";
      if (files.length > 0) take(files).catch((error: Error) => this.#fault(error));
    });
    return [input, act("folder", "Open a model of your own", () => input.click())];
  }

  /** Shows what went wrong; with a model, how to try again to open it. */
  #fault(error: Error | undefined, model?: { name: string; again: () => void }): void {
    const fault = byId("fault", HTMLElement);
    if (error === undefined) {
      fault.replaceChildren();
      return;
    }
    const { problem } = error as Partial<ModelError>;
    const what = model && problem !== undefined ? `The model "${model.name}" cannot be opened. ` : "";
    fault.replaceChildren(
      h("p", {}, `${what}${error.message}`),
      ...(model ? [h("button", { type: "button", class: "plain", click: model.again }, "Try again")] : []),
    );
  }

  #key(event: KeyboardEvent): void {
    const { target } = event;
    const writes =
      target instanceof HTMLTextAreaElement || (target instanceof HTMLInputElement && target.type === "number");
    if (!writes && this.#bench?.key(event)) event.preventDefault();
  }
}
