// Keeps the page itself, so that it opens without a network. The build fills in its files and a hash of them.
const FILES = /* files */ [];
// A host may have several studios, each with builds of its own.
const OWN = `iqvae-studio ${self.registration.scope} `;
const SHELL = `${OWN}/* version */`;
const { pathname: MODELS } = new URL("models/", self.registration.scope);

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
  event.waitUntil(dropOld().then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname, search } = new URL(request.url);
  if (request.method !== "GET" || origin !== location.origin) return;
  // Weights are kept by the runtime, by their hash.
  if (pathname.endsWith(".safetensors")) return;
  // A query, such as a token, is for the server, which answers with a cookie.
  event.respondWith(search !== "" || pathname.startsWith(MODELS) ? freshest(request) : kept(request));
});

/** All but the build before this one: pages of it may be open, and ask for more of its files, whose names have hashes. */
async function dropOld() {
  const names = (await caches.keys()).filter((name) => name.startsWith(OWN) && name !== SHELL);
  await Promise.all(names.slice(0, -1).map((name) => caches.delete(name)));
}

/** The page: what was installed together belongs together. */
async function kept(request) {
  return (await stored(request)) ?? fetch(request);
}

/** Models, too, may be others at every visit. */
async function freshest(request) {
  try {
    return await fetch(request);
  } catch (error) {
    const found = await stored(request);
    if (found !== undefined) return found;
    throw error;
  }
}

async function stored(request) {
  const anySearch = { ignoreSearch: true };
  const shell = await caches.open(SHELL);
  return (await shell.match(request, anySearch)) ?? (await caches.match(request, anySearch));
}
