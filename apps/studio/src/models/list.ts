import { type Bundle, type ConditionKind, MODEL_FILE, parseBundle } from "@iqvae/runtime";
import type { ModelEntry } from "../../vite/models.ts";

/** A model that can be opened: beside the page, or picked from a disk. */
export interface Place extends ModelEntry {
  readonly source: string | readonly File[];
  /** What the page calls it: names of picked models may be those of others. */
  readonly key: string;
}

/** What one does for each kind of condition. */
export const DEEDS: Readonly<Record<ConditionKind, string>> = {
  semantic: "Paint",
  lines: "Sketch",
  edges: "Sketch",
  keypoints: "Pose",
  layout: "Arrange",
  text: "Write",
  audio: "Speak",
};

/**
 * The models beside the page, by kind of condition, and of a kind the smallest first: a first visit downloads the first of all.
 *
 * @throws Error that says what is wrong with the list
 */
export async function fetchModels(): Promise<readonly Place[]> {
  const where = "models/models.json";
  const response = await fetch(where).catch((error: Error) => {
    throw new Error(`${where} cannot be fetched (${error.message}); is the server still there?`);
  });
  if (response.status === 401)
    throw new Error("The server asks for a token: open the page by the address that has it.");
  if (!response.ok) throw new Error(`${where}: the server answered ${response.status}; build the page again`);
  const { models } = (await response.json().catch(() => ({}))) as { models?: readonly ModelEntry[] };
  if (!Array.isArray(models)) throw new Error(`${where}: a list "models" is expected; build the page again`);
  const order = Object.keys(DEEDS);
  return models
    .filter(({ kind }) => kind in DEEDS)
    .sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind) || a.bytes - b.bytes)
    .map((entry) => ({ ...entry, key: entry.name, source: `models/${encodeURIComponent(entry.name)}/` }));
}

/** What a model says of itself. @throws Error when it cannot be had */
export async function bundleOf({ source }: Place): Promise<Bundle> {
  const found = typeof source === "string" ? await fetch(source + MODEL_FILE) : described(source);
  return parseBundle(await found.text());
}

/**
 * A model that was picked from a disk.
 *
 * @param files of an exported folder
 * @throws Error when `model.json` is not among them, or more than once, or is none, with its name
 */
export async function pickedModel(files: readonly File[]): Promise<Place> {
  const { name, size, condition } = parseBundle(await described(files).text());
  const bytes = files.find((each) => each.name === "model.safetensors")?.size ?? 0;
  return { name, kind: condition.kind, size, bytes, source: files, key: `picked:${name}` };
}

function described(files: readonly File[]): File {
  const [file, ...others] = files.filter(({ name }) => name === MODEL_FILE);
  if (file === undefined)
    throw new Error(`There is no model.json among the ${files.length} files; choose a folder that iqvae export wrote.`);
  if (others.length > 0) throw new Error(`There are ${1 + others.length} models in the folder; choose that of one.`);
  return file;
}
