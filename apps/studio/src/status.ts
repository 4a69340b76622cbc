import type { WorkerGenerator } from "@iqvae/runtime";
import { byId, h } from "./dom.ts";

/** Bytes for people. */
export function megabytes(bytes: number): string {
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} KB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

const STORED = { f32: "32-bit weights", f16: "16-bit weights", int8: "8-bit weights" } as const;

/** The line that says what runs. */
export class Status {
  readonly #rate = h("span", { id: "rate" });
  readonly #offline = h("span", { id: "offline" });

  /** @param got how the model came here, in words */
  constructor({ model, engine }: WorkerGenerator, got: string, about: () => void) {
    const { bytes } = model.files["model.safetensors"]!;
    byId("status", HTMLElement).replaceChildren(
      h("span", { id: "engine" }, engine),
      h("span", {}, "one thread, in a worker"),
      h("span", {}, `${STORED[model.weights]}, computed in float32`),
      h("span", { id: "downloaded" }, `${megabytes(bytes)} ${got}`),
      this.#rate,
      this.#offline,
      h("button", { type: "button", class: "plain", click: about }, "Model card and licenses"),
    );
  }

  /** Pictures that were drawn in some seconds. */
  drew(pictures: number, seconds: number): void {
    const rate = pictures / seconds;
    this.#rate.textContent = `${rate < 10 ? rate.toFixed(1) : Math.round(rate)} pictures a second`;
  }

  /** The page and this model are kept. */
  offline(): void {
    this.#offline.textContent = "works offline";
  }
}
