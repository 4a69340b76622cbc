// Writes src/generated/: the TypeScript types of every operator, from the schemas of the libtorch that the addon is linked to.
// Run by build-native.mjs after the addon is built, with its path as argument.
import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

const RESERVED = new Set([
  "in",
  "function",
  "default",
  "with",
  "var",
  "new",
  "delete",
  "class",
  "enum",
  "export",
  "import",
  "this",
  "case",
]);
// Members of the Tensor class that an operator of the same name must not take.
const OWN_MEMBERS = new Set([
  "handle",
  "shape",
  "strides",
  "dtype",
  "device",
  "grad",
  "item",
  "backward",
  "dispose",
  "numel",
  "ndim",
  "dim",
  "T",
  "mT",
  "float",
  "double",
  "half",
  "bfloat16",
  "long",
  "int",
  "bool",
  "cpu",
  "cuda",
  "read",
  "constructor",
  "toString",
  "requiresGrad",
  "is_leaf",
  "data",
  "set_data",
]);

const TYPES = {
  Tensor: "Tensor",
  Int: "number | bigint",
  Float: "number",
  Bool: "boolean",
  Scalar: "Scalar",
  String: "string",
  ScalarType: "DType",
  Layout: "Layout",
  MemoryFormat: "MemoryFormat",
  Device: "string",
  Generator: "Generator",
};

function inputType(type, fixedLength) {
  let text;
  if (type.kind === "List") {
    const element = inputType(type.element, -1);
    text = `readonly (${element})[]`;
    if (fixedLength > 0) text = `${element} | ${text}`;
  } else {
    text = TYPES[type.kind] ?? "never";
  }
  return type.optional ? `${text} | null` : text;
}

function outputType(type) {
  if (type.kind === "List") return `${outputType(type.element)}[]`;
  if (type.kind === "Int" || type.kind === "Float") return "number";
  if (type.kind === "Scalar") return "number | boolean";
  return TYPES[type.kind] ?? "unknown";
}

function returnType(returns) {
  if (returns.length === 0) return "void";
  if (returns.length === 1) return outputType(returns[0].type);
  return `[${returns.map((entry) => outputType(entry.type)).join(", ")}]`;
}

const parameter = (name) => (RESERVED.has(name) ? `${name}_` : name);
const isRequired = (argument) => !argument.hasDefault && !(argument.type.optional && argument.keywordOnly);

function optionsType(args) {
  const fields = args
    .filter((argument) => argument.type.kind !== "Unsupported")
    .map(
      (argument) =>
        `${argument.name}${isRequired(argument) ? "" : "?"}: ${inputType(argument.type, argument.fixedLength)}`,
    );
  return `{ ${fields.join("; ")} }`;
}

/** One signature for each number of defaulted arguments that is given in order; the rest may stand in the last object. */
function signatures(schema, skip) {
  const args = schema.arguments
    .slice(skip)
    .filter((argument, i, all) => all.findIndex(({ name }) => name === argument.name) === i); // some schema names one twice
  const positional = args.filter((argument) => !argument.keywordOnly);
  const required = positional.filter(isRequired).length;
  const out = [];
  for (let given = required; given <= positional.length; given++) {
    const parts = positional.slice(0, given).map((a) => `${parameter(a.name)}: ${inputType(a.type, a.fixedLength)}`);
    const rest = [...positional.slice(given), ...args.filter((argument) => argument.keywordOnly)];
    if (rest.some((a) => a.type.kind !== "Unsupported"))
      parts.push(`options${rest.some(isRequired) ? "" : "?"}: ${optionsType(rest)}`);
    out.push(`(${parts.join(", ")}): ${returnType(schema.returns)};`);
  }
  return out;
}

const addon = process.argv[2];
if (addon === undefined) throw new Error("usage: generate-types.mjs ADDON");
const native = createRequire(import.meta.url)(addon);

/** @type {Map<string, Map<string, any[]>>} namespace → operator → schemas */
const namespaces = new Map();
for (const full of native.operatorNames()) {
  const [namespace, rest] = full.split("::");
  const dot = rest.indexOf(".");
  const name = dot < 0 ? rest : rest.slice(0, dot);
  const overload = dot < 0 ? "" : rest.slice(dot + 1);
  const schema = native.describeOperator(`${namespace}::${name}`, overload);
  if (schema === undefined) continue;
  if (!namespaces.has(namespace)) namespaces.set(namespace, new Map());
  const operators = namespaces.get(namespace);
  if (!operators.has(name)) operators.set(name, []);
  operators.get(name).push(schema);
}

// In the order in which src/overloads.ts tries them.
const rank = (schema) => (schema.overload === "" ? 0 : /(^|_)out$/.test(schema.overload) ? 2 : 1);
const sorted = (map) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));

const lines = [];
const methodLines = [];
for (const [namespace, operators] of sorted(namespaces)) {
  lines.push(`export interface ${namespace}_operators {`);
  for (const [name, schemas] of sorted(operators)) {
    schemas.sort((a, b) => rank(a) - rank(b) || (a.overload < b.overload ? -1 : 1));
    lines.push(`  readonly ${JSON.stringify(name)}: {`);
    for (const schema of schemas) for (const line of signatures(schema, 0)) lines.push(`    ${line}`);
    for (const schema of schemas)
      if (
        schema.overload !== "" &&
        !["name", "length", "call", "apply", "bind", "arguments", "caller"].includes(schema.overload)
      )
        lines.push(`    readonly ${JSON.stringify(schema.overload)}: { ${signatures(schema, 0).join(" ")} };`);
    lines.push("  };");
    const own = schemas.filter(
      (schema) => schema.arguments[0]?.name === "self" && schema.arguments[0].type.text === "Tensor",
    );
    if (namespace !== "aten" || own.length === 0 || name.startsWith("_") || OWN_MEMBERS.has(name)) continue;
    for (const schema of own.filter((candidate) => rank(candidate) < 2))
      for (const line of signatures(schema, 1)) methodLines.push(`  ${JSON.stringify(name)}${line}`);
  }
  lines.push("}", "");
}

// The form that only the Python binding has besides: methods.ts makes it of the one with options.
methodLines.push(
  '  "to"(device: Device, options?: { dtype?: DType | null; non_blocking?: boolean; copy?: boolean; memory_format?: MemoryFormat | null }): Tensor;',
);

const head = `// Generated from the operator schemas of libtorch ${native.version}; not to be edited.\n`;
const types = `${head}
import type { Device, DType, Layout, MemoryFormat } from "../dtype.ts";
import type { Generator } from "../generator.ts";
import type { Tensor } from "../tensor.ts";

export type Scalar = number | boolean | bigint;

${lines.join("\n")}
export interface Namespaces {
${[...namespaces.keys()]
  .sort()
  .map((name) => `  readonly ${JSON.stringify(name)}: ${name}_operators;`)
  .join("\n")}
}

/** Operators whose first argument is a tensor named \`self\`, as methods. */
export interface TensorMethods {
${methodLines.join("\n")}
}
`;
mkdirSync(here("../src/generated"), { recursive: true });
writeFileSync(here("../src/generated/ops.ts"), types);
