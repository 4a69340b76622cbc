import { z } from "zod";
import { didYouMean } from "../support/nearest.ts";

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/** One sentence an issue: where it is, what came, what was expected, and for a slip of the pen what was meant. */
export function problemsOf(error: z.ZodError, input: unknown, schema: z.ZodType): string[] {
  return error.issues.flatMap((issue) => explain(issue, input, schema));
}

function explain(issue: Issue, input: unknown, schema: z.ZodType): string[] {
  const where = name(issue.path);
  const value = at(input, issue.path);
  switch (issue.code) {
    case "unrecognized_keys": {
      const known = keysAt(schema, input, issue.path);
      return issue.keys.map((key) => `unknown key '${name([...issue.path, key])}'; ${didYouMean(key, known)}`);
    }
    case "invalid_value":
      return [`${where} ${came(value)}; ${choose(value, issue.values.map(String))}`];
    case "invalid_union":
      if ("options" in issue && Array.isArray(issue.options)) {
        return [`${where} ${came(value)}; ${choose(value, issue.options.map(String))}`];
      }
      return [`${where} ${came(value)}: ${issue.message}`];
    case "invalid_type":
      return [`${where} ${came(value)}, but must be ${KINDS[issue.expected] ?? `of type ${issue.expected}`}`];
    case "too_small":
      return [
        `${where} ${came(value)}, but must be ${bound(issue.inclusive, "at least", "more than")} ${issue.minimum}`,
      ];
    case "too_big":
      return [
        `${where} ${came(value)}, but must be ${bound(issue.inclusive, "at most", "less than")} ${issue.maximum}`,
      ];
    case "not_multiple_of": {
      const nearest = Math.max(1, Math.round(Number(value) / issue.divisor)) * issue.divisor;
      return [`${where} ${came(value)}, but must be a multiple of ${issue.divisor}; the nearest is ${nearest}`];
    }
    default:
      return [`${where} ${came(value)}: ${issue.message}`];
  }
}

const KINDS: Readonly<Record<string, string>> = {
  int: "a whole number",
  number: "a number",
  string: "a text",
  object: "an object { … }",
  array: "a list [ … ]",
};

const bound = (inclusive: boolean | undefined, at: string, beyond: string) => (inclusive === false ? beyond : at);
const name = (path: Path) => path.join(".") || "the configuration";
const came = (value: unknown) => (value === undefined ? "is missing" : `is ${JSON.stringify(value)}`);

function choose(value: unknown, choices: readonly string[]): string {
  if (choices.length === 1) return `the only choice is '${choices[0]}'`;
  return typeof value === "string" ? didYouMean(value, choices) : `choose one of ${choices.join(", ")}`;
}

function at(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key], value);
}

/** The keys that an object at `path` may have, in the variant that the input has chosen. */
function keysAt(schema: z.ZodType, input: unknown, path: Path): string[] {
  const object = objectAt(schema, input);
  const [key, ...rest] = path;
  if (object === undefined) return [];
  if (key === undefined) return Object.keys(object.shape);
  const inner = object.shape[String(key)];
  return inner === undefined ? [] : keysAt(inner, at(input, [key]), rest);
}

function objectAt(schema: z.core.$ZodType, input: unknown): z.ZodObject | undefined {
  if (schema instanceof z.ZodNullable || schema instanceof z.ZodDefault) return objectAt(schema.def.innerType, input);
  if (schema instanceof z.ZodObject) return schema;
  if (!(schema instanceof z.ZodDiscriminatedUnion)) return undefined;
  const { discriminator } = schema.def;
  const chosen = (input as Record<string, unknown> | undefined)?.[discriminator];
  for (const option of schema.options) {
    // A variant may have variants of its own; all of them share the key that chose it.
    const object = objectAt(option, input);
    if (object?.shape[discriminator]?.safeParse(chosen).success === true) return object;
  }
  return undefined;
}
