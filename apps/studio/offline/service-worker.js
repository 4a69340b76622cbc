// Keeps the page itself, so that it opens without a network. The build fills in its files and a hash of them.
const FILES = /* files */ [];
const SHELL = "iqvae-studio-/* version */";
const MODELS = "iqvae-studio-models";

// Past the browser's own cache: the page of an earlier build may still lie there, which asks for scripts that are gone.
const fresh = () => FILES.map((file) => new Request(file, { cache: "reload" }));

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(SHELL)
      .then((cache) => cache.addAll(fresh()))
      .then(() => self.skipWaiting()),
  );
});

self.addEventListener("activate", (event) => {
  const old = (name) => name.startsWith("iqvae-studio-") && name !== SHELL && name !== MODELS;
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter(old).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== location.origin) return;
  // Weights are kept by the runtime, by their hash.
  if (pathname.endsWith(".safetensors")) return;
  event.respondWith(pathname.includes("/models/") ? freshest(request) : kept(request));
});

/** The page: what was installed together belongs together. */
async function kept(request) {
  const cache = await caches.open(SHELL);
  return (await cache.match(request, { ignoreSearch: true })) ?? fetch(request);
}

/** Models may be others at every visit. */
async function freshest(request) {
  try {
    return await fetch(request);
  } catch (error) {
    const found = await (await caches.open(MODELS)).match(request);
    if (found !== undefined) return found;
    throw error;
  }
}
