// From bytes to a JSON object, or to the error that says why not.

import { ApiError } from "./errors.ts";

const strict = new TextDecoder("utf-8", { fatal: true });

/** Objects and arrays inside each other: far more than any call needs, far less than what ends a recursion. */
const DEPTH_MAX = 128;
/** Texts, names, objects and arrays together: a parser takes microseconds and 600 bytes for each, in one turn. */
const NODES_MAX = 250_000;
/** Smaller bodies are parsed sooner than they are looked at. */
const LOOK_BYTES_MIN = 65_536;

/**
 * Parses a request body. Refuses bad UTF-8, bad JSON, anything but an object at the top, nesting deeper than `DEPTH_MAX`,
 * and more than `NODES_MAX` texts, names, objects and arrays. A byte-order mark is skipped.
 *
 * @throws ApiError `invalid_json`
 */
export function parseJsonObject(bytes: Uint8Array): Record<string, unknown> {
  if (bytes.length >= LOOK_BYTES_MIN) refuseCostly(bytes);
  let value: unknown;
  try {
    value = JSON.parse(strict.decode(bytes));
  } catch (cause) {
    throw new ApiError("invalid_json", `${UNPARSABLE} ${bytes.length === 0 ? "The body is empty." : hint(cause)}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ApiError("invalid_json", `${UNPARSABLE} The body must be a JSON object.`);
  }
  refuseDeep(value);
  return value as Record<string, unknown>;
}

const UNPARSABLE = "We could not parse the JSON body of your request.";

function hint(cause: unknown): string {
  // The parser's own message quotes the body, and bodies hold prompts.
  return cause instanceof TypeError ? "It is not valid UTF-8." : "It is not valid JSON.";
}

/** Ten megabytes of brackets or of short names would keep a parser, and everybody, for seconds: they are counted first. */
function refuseCostly(bytes: Uint8Array): void {
  let depth = 0;
  let nodes = 0;
  for (let at = 0; at < bytes.length; at++) {
    switch (bytes[at]) {
      case QUOTE:
        nodes++;
        at = endOfString(bytes, at);
        break;
      case 0x5b: // [
      case 0x7b: // {
        nodes++;
        if (++depth > DEPTH_MAX) throw tooDeep();
        break;
      case 0x5d: // ]
      case 0x7d: // }
        depth--;
    }
    if (nodes > NODES_MAX) {
      throw new ApiError(
        "invalid_json",
        `${UNPARSABLE} It has more than ${NODES_MAX} texts, names, objects and arrays.`,
      );
    }
  }
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Where the string that begins at `start` ends; the end of the bytes when it does not. */
function endOfString(bytes: Uint8Array, start: number): number {
  for (let end = bytes.indexOf(QUOTE, start + 1); end >= 0; end = bytes.indexOf(QUOTE, end + 1)) {
    let slashes = 0;
    while (bytes[end - 1 - slashes] === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return end;
  }
  return bytes.length;
}

/** What is refused here would overflow the stack of whoever walks it later. */
function refuseDeep(value: object): void {
  if (goesDeeper(value, DEPTH_MAX)) {
    throw tooDeep();
  }
}

function tooDeep(): ApiError {
  return new ApiError("invalid_json", `${UNPARSABLE} It is nested deeper than ${DEPTH_MAX} levels.`);
}

/** Whether there are more than `levels` inside each other. Looks no deeper than that. */
function goesDeeper(value: object, levels: number): boolean {
  if (levels === 0) return true;
  if (Array.isArray(value)) {
    for (const child of value)
      if (typeof child === "object" && child !== null && goesDeeper(child, levels - 1)) return true;
    return false;
  }
  const fields = value as Record<string, unknown>;
  for (const name in fields) {
    const child = fields[name];
    if (typeof child === "object" && child !== null && goesDeeper(child, levels - 1)) return true;
  }
  return false;
}
