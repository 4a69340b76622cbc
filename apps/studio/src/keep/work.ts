import { type Bundle, plainCondition } from "@iqvae/runtime";
import { fromBase64, toBase64 } from "../base64.ts";
import type { Settings } from "../drawing/settings.ts";
import { FRESH, fitting, type Source } from "../drawing/source.ts";

/** All that pictures follow from, as links, files and the browser's own storage keep it. */
export interface Kept {
  readonly model: string;
  readonly condition: Uint8Array | undefined;
  readonly settings: Partial<Settings>;
  readonly source: Source;
}

/** Work that is not what was kept: that of a link takes the place of somebody's own once they have changed it, that of a file at once. */
export interface Given {
  readonly work: Kept;
  readonly from: "link" | "file";
}

const FORMAT = 1;

/** As text in JSON. */
export function writeWork({ model, condition, settings, source }: Kept): string {
  const tokens = source.kind === "redraw" ? { fixed: [...source.fixed], base: [...source.base] } : {};
  const kept = {
    format: FORMAT,
    model,
    ...(condition && { condition: toBase64(condition) }),
    settings,
    source: { ...source, ...tokens },
  };
  return JSON.stringify(kept);
}

/**
 * @param json as {@link writeWork} gives it
 * @throws Error when it is not such a text
 */
export function readWork(json: string): Kept {
  const value = JSON.parse(json) as Record<string, unknown> | null;
  if (value?.format !== FORMAT || typeof value.model !== "string")
    throw new Error(`it was not written by this studio, whose format is ${FORMAT}`);
  return {
    model: value.model,
    condition: value.condition === undefined ? undefined : fromBase64(value.condition, "its condition"),
    settings: (value.settings ?? {}) as Partial<Settings>,
    source: readSource(value.source),
  };
}

/** Work of a file of settings. @throws Error that names a file that is none */
export async function workIn(file: File): Promise<Kept> {
  try {
    return readWork(await file.text());
  } catch (error) {
    throw new Error(`${file.name} cannot be read: ${(error as Error).message}. Choose a file of settings.`);
  }
}

/** @throws Error for work that a model cannot draw from */
export function checkWork({ model, condition, source }: Kept, bundle: Bundle): void {
  try {
    if (condition !== undefined) plainCondition(bundle.condition, bundle.size).check(condition);
    if (fitting(source, bundle) !== source) throw new Error("the part to redraw is of another grid or codebook");
  } catch (error) {
    const reason = (error as Error).message.replace(/\.$/, "");
    throw new Error(`This is work on another version of the model "${model}" (${reason}); open it where that one is.`);
  }
}

function readSource(value: unknown): Source {
  if (value === undefined) return FRESH;
  const { kind, seed, sample, distance, fixed, base } = (value ?? {}) as Record<string, unknown>;
  const isCount = (number: unknown): number is number => Number.isSafeInteger(number) && (number as number) >= 0;
  const tokens = (list: unknown) =>
    Array.isArray(list) && list.every((token) => Number.isInteger(token)) ? Int32Array.from(list) : undefined;
  if (kind === "like" && isCount(seed) && isCount(sample) && Number(distance) > 0)
    return { kind, seed, sample, distance: Math.min(1, Number(distance)) };
  const [given, whole] = [tokens(fixed), tokens(base)];
  if (kind === "redraw" && given && whole) return { kind, fixed: given, base: whole };
  if (kind === "fresh") return FRESH;
  throw new Error("what its pictures are drawn from is damaged");
}
