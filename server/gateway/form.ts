// Reads a body of the form multipart/form-data within its bounds: bytes of the whole, parts, and silence on the way. What
// comes is cut while it arrives, so that no more than the bound is ever held. The parser is @fastify/busboy; this file is
// the only one that knows it.

import type { Readable } from "node:stream";
import { Busboy } from "@fastify/busboy";
import { ApiError, addField, type Form, plainName } from "@oxbow/contract";
import { bodyParts } from "./body.ts";
import type { Exchange } from "./exchange.ts";

export interface FormBounds {
  /** Of the whole body, heads and boundaries included. */
  bytesMax: number;
  /** Fields and files together. */
  partsMax?: number;
}

/** More than any endpoint has fields: an edit of sixteen images with a mask has about thirty parts. */
const PARTS_MAX = 100;
/** Of one field that is no file: a prompt is text of a few kilobytes. */
const FIELD_BYTES_MAX = 1024 * 1024;
const NAME_BYTES_MAX = 256;

/**
 * @throws ApiError `unsupported_media_type`, `body_too_large`, `request_timeout`; `invalid_form` for what is no form, was
 *   broken off, or has too many parts
 */
export async function readForm(exchange: Exchange, { bytesMax, partsMax = PARTS_MAX }: FormBounds): Promise<Form> {
  const form: Form = { fields: new Map(), files: [] };
  const contentType = exchange.request.headers.get("content-type");
  const parser = createParser(contentType);
  const countIn = createCount(contentType!);
  let parts = 0;
  let refusal: ApiError | null = null;
  const refuse = (what: string, cause?: unknown) => {
    refusal ??= broken(what, cause);
  };
  /** @returns the name, without the brackets of an array */
  const take = (name: string | undefined): string => {
    parts++;
    if (parts > partsMax) refuse(`it has more than ${partsMax} parts`);
    if (!name) refuse("a part has no name");
    return plainName(name ?? "");
  };
  parser.on("field", (fieldName: string, text: string, _cutName: boolean, cutText: boolean) => {
    const name = take(fieldName);
    if (cutText) refuse(`the field '${name.slice(0, 64)}' is longer than ${FIELD_BYTES_MAX} bytes`);
    if (!refusal) addField(form, name, text);
  });
  parser.on("file", (fieldName: string, stream: Readable, filename: string | undefined, _: string, type: string) => {
    const name = take(fieldName);
    const pieces: Uint8Array[] = [];
    stream.on("data", (piece: Uint8Array) => pieces.push(piece));
    stream.on("error", () => {}); // the parser says the same
    stream.on("end", () =>
      form.files.push({ name, filename: filename ?? "", contentType: type, bytes: joined(pieces) }),
    );
  });
  const ended = new Promise<void>((resolve) => {
    parser.on("finish", resolve);
    parser.on("error", (cause: unknown) => {
      refuse("it ends in the middle of a part, or its boundaries are wrong", cause);
      resolve();
    });
  });
  for await (const piece of bodyParts(exchange, bytesMax)) {
    // Parts without a name are passed over in silence, and cost as much as others.
    if (countIn(piece) > partsMax) refuse(`it has more than ${partsMax} parts`);
    if (refusal) break;
    const takesMore = parser.write(piece);
    if (refusal) break;
    if (!takesMore) await Promise.race([ended, new Promise<void>((resolve) => parser.once("drain", resolve))]);
  }
  parser.end();
  if (!refusal) await ended;
  if (refusal) throw refusal;
  return form;
}

function createParser(contentType: string | null): InstanceType<typeof Busboy> {
  if (!/^\s*multipart\/form-data\s*(;|$)/i.test(contentType ?? "")) {
    const shown = (contentType ?? "").slice(0, 80);
    const text = `Unsupported Content-Type: '${shown}'. Send the body as a form with 'Content-Type: multipart/form-data'.`;
    throw new ApiError("unsupported_media_type", text);
  }
  const limits = { fieldNameSize: NAME_BYTES_MAX, fieldSize: FIELD_BYTES_MAX };
  try {
    return new Busboy({ headers: { "content-type": contentType! }, limits });
  } catch (cause) {
    throw broken("its Content-Type names no boundary", cause);
  }
}

/** What counts the parts that begin, as their bytes come. */
function createCount(contentType: string): (piece: Uint8Array) => number {
  const boundary = /;\s*boundary=(?:"([^"]*)"|([^\s;]*))/i.exec(contentType);
  const delimiter = Buffer.from(`--${boundary?.[1] ?? boundary?.[2] ?? ""}\r\n`, "latin1");
  const whole = delimiter.length;
  let count = 0;
  let rest = Buffer.alloc(0);
  const look = (bytes: Buffer) => {
    for (let at = bytes.indexOf(delimiter); at >= 0; at = bytes.indexOf(delimiter, at + whole)) count++;
  };
  return (piece) => {
    const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.length);
    // One that lies across the border of two pieces: neither side holds a whole one here.
    const border = Buffer.concat([rest, bytes.subarray(0, whole - 1)]);
    look(border);
    look(bytes);
    rest = Buffer.from((bytes.length < whole ? border : bytes).subarray(-(whole - 1)));
    return count;
  };
}

function broken(what: string, cause?: unknown): ApiError {
  return new ApiError("invalid_form", `Could not parse the form of your request: ${what}.`, { cause });
}

function joined(pieces: Uint8Array[]): Uint8Array {
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
}
