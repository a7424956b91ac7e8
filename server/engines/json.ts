// Parsed JSON, and the parts of a chunk or an answer of which nothing is known for sure.

export type Json = Record<string, unknown>;

/** The choices of a chunk or an answer; none when there is no list of them. */
export function choicesOf(document: Json): Json[] {
  return Array.isArray(document.choices) ? document.choices.filter(isObject) : [];
}

/** What of a choice says something: the `delta` of a chunk, the `message` of an answer. */
export function partOf(choice: Json, name: "delta" | "message"): Json | null {
  return isObject(choice[name]) ? choice[name] : null;
}

export function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
