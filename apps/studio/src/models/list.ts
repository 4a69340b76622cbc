import type { ConditionKind } from "@iqvae/runtime";

/** What the page knows of a model before it loads it: see `vite/models.ts`. */
export interface ModelEntry {
  readonly name: string;
  readonly kind: ConditionKind;
  /** Pixels a side. */
  readonly size: number;
  /** Of the weights, to download. */
  readonly bytes: number;
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
 * The models beside the page.
 *
 * @throws Error that says what is wrong with the list
 */
export async function fetchModels(): Promise<readonly ModelEntry[]> {
  const response = await fetch("models/models.json");
  if (!response.ok) throw new Error(`models/models.json: the server answered ${response.status}`);
  const { models } = (await response.json()) as { models?: readonly ModelEntry[] };
  if (!Array.isArray(models)) throw new Error('models/models.json: a list "models" is expected');
  return models.filter(({ kind }) => kind in DEEDS);
}
