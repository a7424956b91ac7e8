// From bytes to a JSON object, or to the error that says why not.

import { ApiError } from "./errors.ts";

const strict = new TextDecoder("utf-8", { fatal: true });

/** Objects and arrays inside each other: far more than any call needs, far less than what ends a recursion. */
const DEPTH_MAX = 128;

/**
 * Parses a request body. Refuses bad UTF-8, bad JSON, anything but an object at the top, and nesting deeper than
 * `DEPTH_MAX`. A byte-order mark is skipped.
 *
 * @throws ApiError `invalid_json`
 */
export function parseJsonObject(bytes: Uint8Array): Record<string, unknown> {
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

/** What is refused here would overflow the stack of whoever walks it later. */
function refuseDeep(value: object): void {
  if (goesDeeper(value, DEPTH_MAX)) {
    throw new ApiError("invalid_json", `${UNPARSABLE} It is nested deeper than ${DEPTH_MAX} levels.`);
  }
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
