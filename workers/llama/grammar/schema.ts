// Reads JSON Schemas: where each part stands, what its references point to, and the refusal that names the place.
// Source: JSON Schema 2020-12, core and validation, read 2026-11-21; `definitions`, tuple `items` and boolean exclusive
// bounds of older drafts are read too, as many tools still write them.

import { ApiError } from "@oxbow/contract";
import { isObject } from "./values.ts";

export type JsonSchema = Record<string, unknown>;

/** A document: one schema with its references. */
export interface SchemaDocument {
  readonly root: unknown;
  /** Where the document stands in the request: `response_format.json_schema.schema`. */
  readonly param: string;
  /** Whether keywords that we cannot enforce are left out instead of refused. */
  readonly lenient: boolean;
  /** How often its places may still be looked at, so that no schema keeps the worker busy. */
  readonly work: { left: number };
}

/** Steps of work for one schema. An ordinary one takes a few dozen, and ten thousand take about 100 ms. */
const WORK_MAX = 20_000;

export function createDocument(root: unknown, param: string, lenient: boolean): SchemaDocument {
  return { root, param, lenient, work: { left: WORK_MAX } };
}

/** A schema in its document. */
export interface Located {
  readonly document: SchemaDocument;
  readonly schema: JsonSchema | boolean;
  /** From the request's root: `response_format.json_schema.schema.properties.name`. For messages: names may hold dots. */
  readonly path: string;
}

export function rootOf(document: SchemaDocument): Located {
  return locate(document, document.root, document.param);
}

/** @throws ApiError when what stands there is no schema */
export function locate(document: SchemaDocument, value: unknown, path: string): Located {
  if (typeof value === "boolean") return { document, schema: value, path };
  if (isObject(value)) return { document, schema: value, path };
  throw refusal(path, "a schema must be an object or a boolean");
}

/** The refusal of one place of a schema. */
export function refusal(path: string, why: string): ApiError {
  const shown = path.slice(0, 256);
  return new ApiError("invalid_schema", `Invalid schema: '${shown}': ${why}.`, { param: shown });
}

/** Refuses a keyword that cannot be enforced, unless the document is lenient. */
export function refuseUnenforceable(at: Located, keyword: string, why = "this keyword cannot be enforced"): void {
  if (!at.document.lenient) throw refusal(`${at.path}.${keyword}`, why);
}

/** The schemas under a keyword that holds a list of them. */
export function listOf(at: Located, keyword: string): Located[] {
  const list = (at.schema as JsonSchema)[keyword];
  if (list === undefined) return [];
  if (!Array.isArray(list)) throw refusal(`${at.path}.${keyword}`, "it must be an array of schemas");
  return list.map((schema, index) => locate(at.document, schema, `${at.path}.${keyword}[${index}]`));
}

/** The schemas under a keyword that maps names to them. */
export function mapOf(at: Located, keyword: string): Map<string, Located> {
  const map = (at.schema as JsonSchema)[keyword];
  if (map === undefined) return new Map();
  if (!isObject(map)) throw refusal(`${at.path}.${keyword}`, "it must be an object of schemas");
  return new Map(
    Object.entries(map).map(([name, schema]) => [name, locate(at.document, schema, `${at.path}.${keyword}.${name}`)]),
  );
}

/**
 * What `$ref` points to: a JSON pointer into the same document (`#/$defs/node`), `#`, or an anchor.
 *
 * @throws ApiError when it points outside or nowhere
 */
export function follow(at: Located, reference: unknown): Located {
  const path = `${at.path}.$ref`;
  if (typeof reference !== "string") throw refusal(path, "it must be a string");
  const id = isObject(at.document.root) ? at.document.root.$id : undefined;
  const local = typeof id === "string" && reference.startsWith(`${id}#`) ? reference.slice(id.length) : reference;
  if (local === "#" || local === id) return rootOf(at.document);
  if (!local.startsWith("#")) throw refusal(path, "only references inside the same schema can be followed");
  if (!local.startsWith("#/")) return anchor(at, local.slice(1));

  let value: unknown = at.document.root;
  let place = at.document.param;
  for (const part of local.slice(2).split("/")) {
    const key = unescapePointer(part);
    place += Array.isArray(value) ? `[${key}]` : `.${key}`;
    if (isObject(value) && Object.hasOwn(value, key)) value = value[key];
    else if (Array.isArray(value) && /^\d+$/.test(key)) value = value[Number(key)];
    else value = undefined;
    if (value === undefined) throw refusal(path, "it points to nothing");
  }
  return locate(at.document, value, place);
}

function unescapePointer(part: string): string {
  try {
    return decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
  } catch {
    return part; // A stray percent sign: then it is the name as it stands.
  }
}

/** Anchors are looked for where definitions are kept, which is where tools put them. */
function anchor(at: Located, name: string): Located {
  const root = rootOf(at.document);
  if (typeof root.schema !== "boolean") {
    for (const keyword of ["$defs", "definitions"]) {
      for (const found of mapOf(root, keyword).values()) {
        if (typeof found.schema !== "boolean" && found.schema.$anchor === name) return found;
      }
    }
  }
  throw refusal(`${at.path}.$ref`, "it points to nothing");
}
