import { fromBase64, toBase64 } from "../base64.ts";
import type { Settings } from "../drawing/settings.ts";
import { FRESH, type Source } from "../drawing/source.ts";

/** All that pictures follow from, as links, files and the browser's own storage keep it. */
export interface Kept {
  readonly model: string;
  readonly condition: Uint8Array | undefined;
  readonly settings: Partial<Settings>;
  readonly source: Source;
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
    condition: typeof value.condition === "string" ? fromBase64(value.condition) : undefined,
    settings: (value.settings ?? {}) as Partial<Settings>,
    source: readSource(value.source),
  };
}

function readSource(value: unknown): Source {
  const { kind, seed, sample, distance, fixed, base } = (value ?? {}) as Record<string, unknown>;
  const isCount = (number: unknown): number is number => Number.isSafeInteger(number) && (number as number) >= 0;
  const tokens = (list: unknown) =>
    Array.isArray(list) && list.every((token) => Number.isInteger(token)) ? Int32Array.from(list) : undefined;
  if (kind === "like" && isCount(seed) && isCount(sample) && Number(distance) > 0)
    return { kind, seed, sample, distance: Math.min(1, Number(distance)) };
  const [given, whole] = [tokens(fixed), tokens(base)];
  return kind === "redraw" && given && whole ? { kind, fixed: given, base: whole } : FRESH;
}
