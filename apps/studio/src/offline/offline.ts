/** Descriptions of models, for visits without a network. The weights are kept by the runtime, under their hash. */
const CACHE = "iqvae-studio-models";

/**
 * Lets the page and a model be opened without a network from now on.
 *
 * @param model the address of its folder
 * @returns whether that is so: it needs HTTPS or localhost, and a built page
 */
export async function keepOffline(model: string): Promise<boolean> {
  if (!import.meta.env.PROD || !("serviceWorker" in navigator) || typeof caches === "undefined") return false;
  try {
    await navigator.serviceWorker.register("service-worker.js");
    await navigator.serviceWorker.ready;
    const cache = await caches.open(CACHE);
    await cache.addAll(["models/models.json", `${model}model.json`]);
    await cache.add(`${model}README.md`).catch(() => {});
    return true;
  } catch {
    return false;
  }
}
