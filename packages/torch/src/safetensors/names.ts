const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\]:]/g;

/**
 * The first name that an object of a valid JSON text has twice. `JSON.parse` keeps the last and says nothing, so a forged
 * file could show one tensor to one reader and another to the next.
 */
export function repeatedName(json: string): string | undefined {
  const open: Set<string>[] = []; // the names seen so far in each object that is open; an array has a set that stays empty
  let last = "";
  for (const [token] of json.matchAll(TOKEN)) {
    if (token === "{" || token === "[") open.push(new Set());
    else if (token === "}" || token === "]") open.pop();
    else if (token === ":") {
      const names = open.at(-1);
      const name = JSON.parse(last) as string;
      if (names?.has(name)) return name;
      names?.add(name);
    } else last = token;
  }
  return undefined;
}
