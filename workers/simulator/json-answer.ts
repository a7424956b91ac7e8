// The text of an answer that has to be JSON.

import { ApiError, type ResponseFormat } from "@oxbow/contract";
import type { Conversation } from "./conversation.ts";
import type { Hints } from "./hints.ts";
import type { Random } from "./random.ts";
import type { JsonSchema } from "./schema.ts";
import { sampleFilled } from "./schema-fill.ts";
import { isSchema } from "./schema-form.ts";
import { writeReply, writeWords } from "./text.ts";

/**
 * @returns JSON text, or null when the format asks for none
 * @throws ApiError `invalid_schema` when no value was found that the schema accepts
 */
export function writeJson(
  format: ResponseFormat | undefined,
  conversation: Conversation,
  hints: Hints,
  random: Random,
): string | null {
  if (format === undefined || format.type === "text") return null;
  if (format.type === "json_object") {
    const keys = keysNamed(conversation);
    if (keys.length > 0) return JSON.stringify(Object.fromEntries(keys.map((key) => [key, writeWords(2, random)])));
    return JSON.stringify({ simulated: true, message: writeReply({ ...conversation, tokens: 0, index: 0 }, random) });
  }
  const { name, schema = {} } = format.json_schema;
  const value = isSchema(schema) ? sampleFilled(schema as JsonSchema, hints, random, "all") : undefined;
  if (value !== undefined) return JSON.stringify(value);
  const why = isSchema(schema) ? "the simulator finds no value for it" : "it is not a JSON schema";
  const text = `Invalid schema for response_format '${name}': ${why}.`;
  throw new ApiError("invalid_schema", text, { param: "response_format" });
}

/** Keys that the conversation asks for: "with keys name, age and city". */
function keysNamed({ userText, systemText }: Conversation): string[] {
  const list =
    /\b(?:keys?|fields?|properties)\b\s*(?:named|called|are)?\s*:?\s*((?:["'`]?\w+["'`]?(?:\s*,\s*(?:and\s+)?|\s+and\s+)?)+)/i;
  const found = (list.exec(userText) ?? list.exec(systemText))?.[1];
  return found?.split(/\s*,\s*(?:and\s+)?|\s+and\s+/).flatMap((key) => /^["'`]?(\w+)/.exec(key)?.[1] ?? []) ?? [];
}
