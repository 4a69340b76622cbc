import type { Bundle } from "@iqvae/runtime";

/** Descriptions of models, for visits without a network. The weights are kept by the runtime, under their hash. */
const CACHE = "iqvae-studio-models";

/**
 * Lets the page and a model be opened without a network from now on.
 *
 * @param model the address of its folder
 * @returns whether that is so: it needs HTTPS or localhost, a built page, and room for the weights
 */
export async function keepOffline(model: string, { files }: Bundle): Promise<boolean> {
  if (!import.meta.env.PROD || !("serviceWorker" in navigator) || typeof caches === "undefined") return false;
  try {
    await navigator.serviceWorker.register("service-worker.js");
    await navigator.serviceWorker.ready;
    const cache = await caches.open(CACHE);
    await cache.addAll(["models/models.json", `${model}model.json`]);
    await cache.add(`${model}README.md`).catch(() => {});
    // The runtime goes on without a word where they find no room.
    const weights = "model.safetensors";
    return (await caches.match(`${model}${weights}?sha256=${files[weights]!.sha256}`)) !== undefined;
  } catch {
    return false;
  }
}
