import { readFileSync } from "node:fs";
import { join } from "node:path";
import { packageFolder } from "../../licenses.ts";
import { EMOJI_VENDORS, emojiIcons } from "./concepts.ts";

/** emojione sorts in its own way, so it has no say. */
const SORTED_ALIKE = EMOJI_VENDORS.filter((vendor) => vendor !== "emojione");

/** The group of Unicode's that most vendors put a concept's drawings into, such as `animals`, by concept. */
export function emojiGroups(): Map<string, string> {
  const byIcon = new Map<string, string>(
    SORTED_ALIKE.flatMap((vendor) => groupsOf(vendor).map(([name, group]) => [`${vendor}/${name}`, group] as const)),
  );
  const votes = new Map<string, Map<string, number>>();
  for (const { vendor, name, concept } of emojiIcons()) {
    const group = byIcon.get(`${vendor}/${name}`);
    if (group === undefined) continue;
    const counts = votes.get(concept) ?? new Map<string, number>();
    votes.set(concept, counts.set(group, (counts.get(group) ?? 0) + 1));
  }
  return new Map([...votes].map(([concept, counts]) => [concept, mostVoted(counts)]));
}

function groupsOf(vendor: string): [string, string][] {
  const file = join(packageFolder(`@iconify-json/${vendor}`), "metadata.json");
  const { categories = {} } = JSON.parse(readFileSync(file, "utf8")) as { categories?: Record<string, string[]> };
  return Object.entries(categories).flatMap(([category, icons]) => {
    // "Animals & Nature" here is "Animals Nature" there; the first word tells them all apart.
    const group = /^[A-Za-z]+/.exec(category)![0].toLowerCase();
    return group === "extras" ? [] : icons.map((icon): [string, string] => [icon, group]);
  });
}

function mostVoted(counts: ReadonlyMap<string, number>): string {
  return [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))[0]![0];
}
