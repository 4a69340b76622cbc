import { type Kept, readWork, writeWork } from "./work.ts";

const [DATABASE, STORE, LAST] = ["iqvae-studio", "works", "last"];

/** The browser's own database; where there is none, as in some private windows, nothing is kept. */
function open(): Promise<IDBDatabase | undefined> {
  return new Promise((resolve) => {
    try {
      const request = indexedDB.open(DATABASE, 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE);
      request.onsuccess = () => {
        // Browsers close it when somebody clears what sites have stored.
        request.result.onclose = () => {
          database = undefined;
        };
        resolve(request.result);
      };
      request.onerror = () => resolve(undefined);
    } catch {
      resolve(undefined);
    }
  });
}

let database: Promise<IDBDatabase | undefined> | undefined;

/** What the database answers; nothing where there is none, or where it is closed at this moment. */
async function ask<T>(
  mode: IDBTransactionMode,
  question: (store: IDBObjectStore) => IDBRequest<T>,
): Promise<T | undefined> {
  database ??= open();
  try {
    const transaction = (await database)?.transaction(STORE, mode);
    if (transaction === undefined) return undefined;
    return await new Promise((resolve) => {
      const request = question(transaction.objectStore(STORE));
      // Not when the page hears of it: it may be closed before.
      transaction.commit();
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => resolve(undefined);
    });
  } catch {
    return undefined;
  }
}

const get = (key: string): Promise<unknown> => ask("readonly", (store) => store.get(key));

/** Keeps the work on a model, and that it was the last. */
export async function keep(work: Kept): Promise<void> {
  await ask("readwrite", (store) => {
    store.put(writeWork(work), `model:${work.model}`);
    return store.put(work.model, LAST);
  });
}

/** Notes that a model is the last one that was open. */
export async function noteLast(model: string): Promise<void> {
  await ask("readwrite", (store) => store.put(model, LAST));
}

/** The model that was open last. */
export async function lastModel(): Promise<string | undefined> {
  const name = await get(LAST);
  return typeof name === "string" ? name : undefined;
}

/** What was kept of a model. */
export async function kept(model: string): Promise<Kept | undefined> {
  const json = await get(`model:${model}`);
  try {
    return typeof json === "string" ? readWork(json) : undefined;
  } catch {
    return undefined; // of an earlier version
  }
}
