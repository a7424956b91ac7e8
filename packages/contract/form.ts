// Bodies of the form multipart/form-data (RFC 7578): what they hold once they are read, how fields become the members of a
// body, and how a form is written for an engine. Reading bytes off the wire is each server's own affair.

import { createHash } from "node:crypto";
import type { TSchema } from "typebox";

export interface FormFile {
  /** Name of the field. */
  name: string;
  /** As the client gave it, without folders; may be anything, and empty. */
  filename: string;
  contentType: string;
  bytes: Uint8Array;
}

export interface Form {
  /** By plain name, in order of arrival. */
  fields: Map<string, string[]>;
  files: FormFile[];
}

/**
 * The name that a part is meant for. Clients write the items of an array as `image[]`, as `image[0]` or as `image` again
 * and again; members of an object (`expires_after[anchor]`) keep their name.
 */
export function plainName(name: string): string {
  return name.replace(/\[\d*\]$/, "");
}

/**
 * The fields of a form as the body that the same call would have as JSON: numbers, booleans, arrays and objects where
 * `schema` has them. A text that is no number stays one, so that the schema's parser can say what is wrong with it.
 */
export function bodyOfForm({ fields }: Form, schema: TSchema): Record<string, unknown> {
  const properties = (schema as unknown as Shape).properties ?? {};
  const body = new Map<string, unknown>();
  for (const [name, texts] of fields) {
    const [, outer, inner] = /^([^[\]]+)\[([^[\]]+)\]$/.exec(name) ?? [];
    if (outer === undefined || inner === undefined) {
      body.set(name, memberOf(texts, properties[name]));
      continue;
    }
    const members = body.get(outer);
    const known = typeof members === "object" && !Array.isArray(members) ? members : {};
    body.set(outer, { ...known, [inner]: memberOf(texts, undefined) });
  }
  return Object.fromEntries(body);
}

interface Shape {
  type?: string;
  anyOf?: Shape[];
  items?: Shape;
  properties?: Record<string, Shape>;
}

function memberOf(texts: string[], shape: Shape | undefined): unknown {
  const array = branchesOf(shape).find(({ type }) => type === "array");
  if (array) return texts.map((text) => scalarOf(text, array.items));
  const values = texts.map((text) => scalarOf(text, shape));
  return values.length === 1 ? values[0] : values;
}

function scalarOf(text: string, shape: Shape | undefined): unknown {
  const types = branchesOf(shape).map(({ type }) => type);
  if ((types.includes("number") || types.includes("integer")) && NUMBER.test(text)) return Number(text);
  if (types.includes("boolean") && BOOLEANS.has(text)) return BOOLEANS.get(text);
  return text;
}

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?$/i;
/** Python's own spelling arrives from clients that are no SDK. */
const BOOLEANS = new Map([
  ["true", true],
  ["True", true],
  ["false", false],
  ["False", false],
]);

function branchesOf(shape: Shape | undefined): Shape[] {
  if (shape === undefined) return [];
  return shape.anyOf?.flatMap(branchesOf) ?? [shape];
}

/**
 * Writes a form. The same form has the same bytes each time, so that a repeated call is known for one, whatever boundary
 * the client drew; and `model`, if there is one, comes first, where an engine's own name for it can be put in its place.
 *
 * @param schema of the same call as JSON: its arrays are written as SDKs write them, `name[]`, which some servers insist on
 */
export function writeForm({ fields, files }: Form, schema: TSchema): { bytes: Uint8Array; contentType: string } {
  const properties = (schema as unknown as Shape).properties ?? {};
  const parts: Uint8Array[] = [];
  const names = [...fields.keys()].sort((one, other) => Number(other === "model") - Number(one === "model"));
  const add = (head: string, bytes: Uint8Array) => parts.push(Buffer.from(`${head}\r\n\r\n`), bytes);
  for (const name of names) {
    const texts = fields.get(name)!;
    const isArray = branchesOf(properties[name]).some(({ type }) => type === "array");
    const sent = isArray ? `${name}[]` : name;
    for (const text of texts) add(`Content-Disposition: form-data; name="${quoted(sent)}"`, Buffer.from(text));
  }
  const counts = Map.groupBy(files, ({ name }) => name);
  for (const { name, filename, contentType, bytes } of files) {
    const sent = counts.get(name)!.length > 1 ? `${name}[]` : name;
    const type = /^[\w.+-]+\/[\w.+-]+$/.test(contentType) ? contentType : "application/octet-stream";
    const disposition = `form-data; name="${quoted(sent)}"; filename="${quoted(filename || "file")}"`;
    add(`Content-Disposition: ${disposition}\r\nContent-Type: ${type}`, bytes);
  }
  return joined(parts);
}

/** As browsers do it (HTML, multipart/form-data encoding algorithm, read 2026-11-21). */
function quoted(text: string): string {
  return text.replaceAll("\r", "%0D").replaceAll("\n", "%0A").replaceAll('"', "%22");
}

/** The boundary is a hash of all that it separates: nobody can put a text into a part that contains its own hash. */
function joined(parts: Uint8Array[]): { bytes: Uint8Array; contentType: string } {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  const boundary = `oxbow-${hash.digest("hex").slice(0, 40)}`;
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < parts.length; at += 2) {
    pieces.push(Buffer.from(`${at === 0 ? "" : "\r\n"}--${boundary}\r\n`), parts[at]!, parts[at + 1]!);
  }
  pieces.push(Buffer.from(`\r\n--${boundary}--\r\n`));
  return { bytes: Buffer.concat(pieces), contentType: `multipart/form-data; boundary=${boundary}` };
}

/** A form of `writeForm` that calls its model `name`. What is no such form stays as it is. */
export function renameModel(bytes: Uint8Array, name: string): Uint8Array {
  const form = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const head = form.subarray(0, HEAD_BYTES).indexOf(MODEL_HEAD);
  if (head < 0) return bytes;
  const from = head + MODEL_HEAD.length;
  const to = form.indexOf("\r\n--", from);
  const known = form.subarray(from, to).equals(Buffer.from(name));
  return known || to < 0 ? bytes : Buffer.concat([form.subarray(0, from), Buffer.from(name), form.subarray(to)]);
}

/** It comes first: behind one boundary. */
const MODEL_HEAD = Buffer.from('Content-Disposition: form-data; name="model"\r\n\r\n');
const HEAD_BYTES = 256;

/** What a form of `writeForm` holds: for workers, which get no others. @throws TypeError for what is not one */
export async function readWrittenForm(request: Request): Promise<Form> {
  const form: Form = { fields: new Map(), files: [] };
  for (const [name, value] of (await request.formData()) as unknown as Iterable<[string, string | File]>) {
    const plain = plainName(name);
    if (typeof value === "string") addField(form, plain, value);
    else {
      const bytes = new Uint8Array(await value.arrayBuffer());
      form.files.push({ name: plain, filename: value.name, contentType: value.type, bytes });
    }
  }
  return form;
}

export function addField({ fields }: Form, name: string, text: string): void {
  const texts = fields.get(name);
  if (texts) texts.push(text);
  else fields.set(name, [text]);
}
