import { type ModelError, WorkerGenerator } from "@iqvae/runtime";
import { showCard } from "./about.ts";
import { act } from "./buttons.ts";
import { byId, h, keepFocus } from "./dom.ts";
import { icon } from "./icons.ts";
import { dropLink, isLink, workOf } from "./keep/link.ts";
import { kept, lastModel } from "./keep/store.ts";
import { checkWork, type Given, type Kept } from "./keep/work.ts";
import { bundleOf, DEEDS, fetchModels, type Place, pickedModel } from "./models/list.ts";
import { keepOffline } from "./offline/offline.ts";
import { megabytes, Status } from "./status.ts";
import { themeButton } from "./theme.ts";
import { Workbench } from "./workbench.ts";

const FROM_DISK = "from your disk";

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
    // WebKit forgets what is put in a database once a page is hidden; where there is no event before, as on phones, that has to do.
    for (const name of ["beforeunload", "pagehide"]) addEventListener(name, () => this.#bench?.flush());
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
    if (linked !== undefined) await this.#openWork({ work: linked, from: "link" });
    else if (this.#bench === undefined) await this.#openLast();
    if (trouble !== undefined) this.#fault(trouble);
  }

  async #openLast(): Promise<void> {
    const last = await lastModel();
    const place = this.#places.find(({ key }) => key === last) ?? this.#places[0];
    if (place === undefined)
      throw new Error(
        "There is no model beside this page. Open a folder that iqvae export wrote, by the button above.",
      );
    await this.#openModel(place);
  }

  /** Opens the model of a link or a file, with all that it says; where that cannot be, what is open stays as it is. */
  async #openWork(given: Given): Promise<void> {
    try {
      const place = await this.#placeOf(given.work);
      await this.#openModel(place, given);
    } catch (error) {
      dropLink();
      if (this.#bench === undefined) await this.#openLast();
      this.#fault(error as Error);
    }
  }

  /** @throws Error for work that no model here can draw from */
  async #placeOf(work: Kept): Promise<Place> {
    const place = this.#places.find(({ key }) => key === work.model);
    if (place === undefined) throw new Error(`This is work on the model "${work.model}", which is not here.`);
    // What keeps the model itself from being opened is said where it is.
    const bundle = await bundleOf(place).catch(() => undefined);
    if (bundle !== undefined) checkWork(work, bundle);
    return place;
  }

  async #openModel(place: Place, given?: Given): Promise<void> {
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
    const giveFocusBack = keepFocus(byId("main", HTMLElement));
    byId("main", HTMLElement).inert = true;
    const progress = this.#progress(place);
    let generator: WorkerGenerator | undefined;
    try {
      await before?.close();
      generator = await WorkerGenerator.load(place.source, { progress, signal });
      const last = given === undefined ? await kept(place.key) : undefined;
      signal.throwIfAborted();
      if (given !== undefined) checkWork(given.work, generator.model);
      this.#fault(undefined);
      this.#furnish(generator, { place, given, kept: last });
      byId("main", HTMLElement).inert = false;
      giveFocusBack();
      byId("loading", HTMLElement).replaceChildren();
    } catch (error) {
      // It has no bench that would give its memory back.
      generator?.dispose().catch(() => {});
      if (signal.aborted) return;
      byId("loading", HTMLElement).replaceChildren();
      this.#fault(error as Error, { name: place.name, again: () => void this.#openModel(place, given) });
    }
  }

  /** Puts a model that has come on a bench. */
  #furnish(
    generator: WorkerGenerator,
    found: { place: Place; given: Given | undefined; kept: Kept | undefined },
  ): void {
    const { model } = generator;
    const { place } = found;
    const got = typeof place.source === "string" ? "downloaded once" : FROM_DISK;
    const status = new Status(generator, got, () => void showCard(model, this.#card(place)));
    this.#bench = new Workbench(generator, {
      ...found,
      status,
      fault: (error) => this.#fault(error),
      open: (work) => this.#openWork({ work, from: "file" }),
    });
    if (typeof place.source === "string")
      void keepOffline(place.source, model).then((kept) => kept && status.offline());
  }

  /** Says how much of a model has come. */
  #progress({ name }: Place): (loaded: number, total: number) => void {
    const meter = h("progress", { max: 1, value: 0, "aria-label": `Loading ${name}` });
    // Not for those who hear the page: they would hear each change of it. The meter tells them, when they ask.
    const text = h("span", { "aria-hidden": "true" }, `Loading ${name}`);
    byId("loading", HTMLElement).replaceChildren(h("span", { class: "hidden" }, `Loading ${name}`), text, meter);
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

  /** A click on the model that is open would throw its steps away. */
  #choose(place: Place): void {
    if (this.#bench?.work.model !== place.key) void this.#openModel(place);
  }

  #showTabs(): void {
    byId("models", HTMLElement).replaceChildren(
      ...this.#places.map((place) =>
        h(
          "button",
          {
            type: "button",
            "data-model": place.key,
            title: `${place.size} × ${place.size} pixels, ${megabytes(place.bytes)} ${typeof place.source === "string" ? "to download" : FROM_DISK}`,
            click: () => this.#choose(place),
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
    if (byId("card", HTMLDialogElement).open) return;
    const { target } = event;
    const writes =
      target instanceof HTMLTextAreaElement || (target instanceof HTMLInputElement && target.type === "number");
    if (!writes && this.#bench?.key(event)) event.preventDefault();
  }
}
