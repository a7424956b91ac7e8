// Turns the text of one file of data/ into a checked value, or into the one line that tells its editor which entry and
// which field is wrong and what it must be. Knows YAML and JSON Schema, and nothing of models or plans.

import { Ajv2020, type ErrorObject } from "ajv/dist/2020.js";
import { parseDocument } from "yaml";

/** What stops the start: one line, for the operator. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/**
 * A reader for the files of one schema (JSON Schema 2020-12). The schema's `default`s are filled in, and its `title`s are
 * what messages call a value.
 */
export function createTableReader<T>(schema: object): TableReader<T> {
  // Our schemas are held to the meta-schema by a test: doing it here costs 60 ms of every start.
  const options = { strict: false, validateSchema: false, verbose: true, useDefaults: true };
  const check = new Ajv2020(options).compile<T>(schema);
  return (file, text) => {
    const value = parseYaml(file, text);
    if (check(value)) return value;
    throw new ConfigError(`${file}: ${explain(check.errors![0]!, value, schema)}`);
  };
}

/**
 * @param file the name for messages, `data/models.yaml`
 * @throws ConfigError that starts with `file`
 */
export type TableReader<T> = (file: string, text: string) => T;

function parseYaml(file: string, text: string): unknown {
  const document = parseDocument(text, { schema: "core", merge: true, prettyErrors: true });
  const problem = document.errors[0] ?? document.warnings[0];
  // The library draws the line at fault below its message; we keep the first line.
  if (problem) throw new ConfigError(`${file}: ${problem.message.split("\n")[0]!.replace(/:$/, "")}`);
  try {
    return document.toJS();
  } catch (cause) {
    throw new ConfigError(`${file}: ${cause instanceof Error ? cause.message : cause}`);
  }
}

interface Schema {
  title?: string;
  type?: string | string[];
  const?: unknown;
  enum?: unknown[];
  minimum?: number;
  maximum?: number;
  minLength?: number;
  minItems?: number;
  $ref?: string;
  $defs?: Record<string, Schema>;
  properties?: Record<string, Schema>;
}

function explain(error: ErrorObject, root: unknown, rules: Schema): string {
  const path = pathOf(error.instancePath, root);
  const schema = error.parentSchema as Schema;
  const inside = (key: string) => (path === "" ? key : `${path}.${key}`);
  switch (error.keyword) {
    case "required": {
      const key: string = error.params.missingProperty;
      const named = schema.properties?.[key] ?? {};
      const wanted = phraseOf(rules.$defs?.[named.$ref?.replace("#/$defs/", "") ?? ""] ?? named);
      return `${inside(key)} is missing${wanted ? `; it must be ${wanted}` : ""}`;
    }
    case "additionalProperties": {
      const key: string = error.params.additionalProperty;
      const near = nearest(key, Object.keys(schema.properties ?? {}));
      return `${inside(key)} is not a known field${near ? `; did you mean ${near}?` : ""}`;
    }
    case "uniqueItems":
      return `${path} holds an entry twice: ${shown((error.data as unknown[])[error.params.i])}`;
    case "minProperties":
      return `${path || "the file"} must not be empty`;
  }
  // The name of an entry is at fault, not its value: Ajv then points at what holds the entry.
  if (error.propertyName !== undefined) return `${inside(error.propertyName)} must be called by ${phraseOf(schema)}`;
  return `${path || "the file"} must be ${phraseOf(schema) || error.message}, but is ${shown(error.data)}`;
}

/** `/tiny/models/0/file` as `tiny.models[0].file`. */
function pathOf(pointer: string, root: unknown): string {
  let path = "";
  let at = root;
  for (const part of pointer.split("/").slice(1)) {
    const key = part.replaceAll("~1", "/").replaceAll("~0", "~");
    if (Array.isArray(at)) path += `[${key}]`;
    else path += path === "" ? key : `.${key}`;
    at = (at as Record<string, unknown> | undefined)?.[key];
  }
  return path;
}

/** What a value must be, in words: `an integer ≥ 1 or null`. */
function phraseOf(schema: Schema): string {
  if (schema.title !== undefined) return schema.title;
  if (schema.const !== undefined) return shown(schema.const);
  if (schema.enum) return `${schema.enum.length > 1 ? "one of " : ""}${schema.enum.join(", ")}`;
  return [schema.type ?? []]
    .flat()
    .map((type) => phraseOfType(type, schema))
    .join(" or ");
}

function phraseOfType(type: string, schema: Schema): string {
  const { minimum, maximum } = schema;
  switch (type) {
    case "integer":
    case "number": {
      const kind = type === "integer" ? "an integer" : "a number";
      if (minimum !== undefined && maximum !== undefined) return `${kind} from ${minimum} to ${maximum}`;
      return minimum === undefined ? kind : `${kind} ≥ ${minimum}`;
    }
    case "string":
      return schema.minLength ? "a text that is not empty" : "a text";
    case "array":
      if ((schema.minItems ?? 0) > 1) return `a list of ${schema.minItems} or more`;
      return schema.minItems ? "a list that is not empty" : "a list";
    case "object":
      return "a block of fields";
    case "boolean":
      return "true or false";
    default:
      return type;
  }
}

function shown(value: unknown): string {
  if (value === null || typeof value !== "object") {
    const text = typeof value === "string" ? `'${value}'` : String(value);
    return text.length > 60 ? `${text.slice(0, 60)}…` : text;
  }
  const empty = Object.keys(value).length === 0;
  return Array.isArray(value) ? (empty ? "an empty list" : "a list") : empty ? "an empty block" : "a block of fields";
}

/** The known name that `name` was probably meant to be: at most two letters away, and less than half of it. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.min(3, Math.ceil(name.length / 2));
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** Levenshtein's distance: letters added, dropped or exchanged. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length]!;
}
