import { didYouMean } from "@iqvae/torch";
import { z } from "zod";

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/** Values that come in variants, and the key that chooses the variant. */
export const VARIANTS: Readonly<Record<string, string>> = {
  data: "name",
  regularizer: "estimator",
  exposure: "kind",
  network: "kind",
};

/** One sentence an issue: where it is, what came, what was expected, and for a slip of the pen what was meant. */
export function problemsOf(error: z.ZodError, input: unknown, schema: z.ZodType): string[] {
  return error.issues.flatMap((issue) => explain(issue, input, schema));
}

function explain(issue: Issue, input: unknown, schema: z.ZodType): string[] {
  const where = name(issue.path);
  const value = at(input, issue.path);
  switch (issue.code) {
    case "unrecognized_keys": {
      const known = keysAt(
        z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as JsonSchema,
        input,
        issue.path,
      );
      return issue.keys.map((key) => `unknown key '${name([...issue.path, key])}'; ${didYouMean(key, known)}`);
    }
    case "invalid_value":
      return [`${where} ${came(value)}; ${choose(value, issue.values.map(String))}`];
    case "invalid_union":
      if ("options" in issue && Array.isArray(issue.options)) {
        return [`${where} ${came(value)}; ${choose(value, issue.options.map(String))}`];
      }
      return nearestOption(issue).flatMap((inner) =>
        explain({ ...inner, path: [...issue.path, ...inner.path] }, input, schema),
      );
    case "invalid_type":
      return [
        `${where} ${came(value)}, but must be ${KINDS[issue.expected] ?? `of type ${issue.expected}`}` +
          (issue.expected === "string"
            ? quoting(where, value)
            : issue.expected === "object"
              ? choosing(issue.path)
              : ""),
      ];
    case "too_small":
      return [`${where} ${outside(value, `${bound(issue.inclusive, "at least", "more than")} ${issue.minimum}`)}`];
    case "too_big":
      return [`${where} ${outside(value, `${bound(issue.inclusive, "at most", "less than")} ${issue.maximum}`)}`];
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
  string: "text",
  object: "an object { … }",
  array: "a list [ … ]",
};

const bound = (inclusive: boolean | undefined, at: string, beyond: string) => (inclusive === false ? beyond : at);
const name = (path: Path) => path.join(".") || "the configuration";
const came = (value: unknown) => (value === undefined ? "is missing" : `is ${shortened(JSON.stringify(value))}`);

/** How a text is said that JSON reads as something else. */
function quoting(where: string, value: unknown): string {
  return typeof value === "number" || typeof value === "boolean" ? `; in quotes it is one: '${where}="${value}"'` : "";
}

/** Where the name of a variant belongs, which may have come in place of the variant. */
function choosing(path: Path): string {
  const chooser = VARIANTS[String(path.at(-1))];
  return chooser === undefined ? "" : `; to choose one, set ${name([...path, chooser])}`;
}

/** Long values would hide what is said about them. */
const MOST_SHOWN = 120;
const shortened = (text: string) => (text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)} …` : text);

/** Of lists and texts the length is bounded, of numbers the value. */
function outside(value: unknown, limit: string): string {
  if (Array.isArray(value)) return `is a list of length ${value.length}, but its length must be ${limit}`;
  if (typeof value === "string") return `${came(value)}, but its length must be ${limit}`;
  return `${came(value)}, but must be ${limit}`;
}

/** What is wrong with a value in that one of several possible forms to which it comes nearest: it goes wrong deepest inside, at the fewest places. */
function nearestOption({ errors }: z.core.$ZodIssueInvalidUnion): readonly Issue[] {
  const depth = (option: readonly Issue[]) =>
    Math.min(...option.map(({ code, path }) => path.length + Number(code === "unrecognized_keys")));
  return errors.reduce((best, option) => {
    const deeper = depth(option) - depth(best);
    return deeper > 0 || (deeper === 0 && option.length < best.length) ? option : best;
  });
}

function choose(value: unknown, choices: readonly string[]): string {
  if (choices.length === 1) return `the only choice is '${choices[0]}'`;
  return typeof value === "string" ? didYouMean(value, choices) : `choose one of ${choices.join(", ")}`;
}

function at(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((inner, key) => (inner as Record<PropertyKey, unknown> | undefined)?.[key], value);
}

/** What is needed of a JSON schema. */
interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema & { readonly const?: unknown }>>;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
  readonly items?: JsonSchema;
}

/** The keys that an object at `path` may have, in the variant that the input has chosen. */
function keysAt(schema: JsonSchema, input: unknown, path: Path): string[] {
  const [key, ...rest] = path;
  if (key === undefined) return Object.keys(propertiesOf(schema, input));
  const inner = typeof key === "number" ? itemsOf(schema) : propertiesOf(schema, input)[String(key)];
  return inner === undefined ? [] : keysAt(inner, at(input, [key]), rest);
}

/** Those of a list that are objects, in any of its variants. */
function itemsOf(schema: JsonSchema): JsonSchema | undefined {
  return [schema, ...(schema.anyOf ?? [])].map(({ items }) => items).find((items) => items?.properties !== undefined);
}

/** Those of an object; of several variants, of the one that has most of its fixed values in common with the input. */
function propertiesOf(schema: JsonSchema, input: unknown): NonNullable<JsonSchema["properties"]> {
  if (schema.properties !== undefined) return schema.properties;
  const variants = [...(schema.anyOf ?? []), ...(schema.oneOf ?? [])].map((variant) => propertiesOf(variant, input));
  const alike = (variant: NonNullable<JsonSchema["properties"]>) =>
    Object.entries(variant).filter(([key, { const: fixed }]) => fixed !== undefined && fixed === at(input, [key]))
      .length;
  return variants.reduce((best, variant) => (alike(variant) > alike(best) ? variant : best), variants[0] ?? {});
}
