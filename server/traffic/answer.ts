// Reads a finished answer, whole or as the events of its stream, for comparing it with another one: what it says, why it
// ended, how long it is.

/** What can be told of an answer. Of several choices, one after the other. */
export interface Said {
  text: string;
  /** Names and arguments of calls of tools. */
  calls: string;
  finish: string[];
  /** It broke off: no reason to end came, or an error in its place. */
  whole: boolean;
  tokensIn: number | null;
  tokensOut: number | null;
}

interface Choice {
  text: string;
  calls: string;
  finish: string | null;
}

/** What an engine sent: nothing of it is sure. */
type Sent = Record<string, unknown>;

/** @param bytes of chat completions or completions, as an engine sends them */
export function readSaid(bytes: Uint8Array): Said {
  const text = new TextDecoder().decode(bytes);
  const documents = text.startsWith("{") ? [parsed(text)] : eventsOf(text).map(parsed);
  const choices = new Map<unknown, Choice>();
  let failed = false;
  let tokensIn: number | null = null;
  let tokensOut: number | null = null;
  for (const document of documents) {
    if (document === null || document.error !== undefined) {
      failed = true;
      continue;
    }
    for (const each of listOf(document.choices)) add(each, choices);
    const { prompt_tokens: prompt, completion_tokens: completion } = objectOf(document.usage);
    if (typeof prompt === "number") tokensIn = prompt;
    if (typeof completion === "number") tokensOut = completion;
  }
  const all = [...choices].sort(([a], [b]) => Number(a) - Number(b)).map(([, choice]) => choice);
  return {
    text: all.map((choice) => choice.text).join("\n"),
    calls: all.map((choice) => choice.calls).join("\n"),
    finish: all.map((choice) => choice.finish ?? "none"),
    whole: !failed && all.length > 0 && all.every((choice) => choice.finish !== null),
    tokensIn,
    tokensOut,
  };
}

function add(sent: unknown, choices: Map<unknown, Choice>): void {
  const { index = 0, message, delta, text: words, finish_reason: finish } = objectOf(sent);
  const choice = choices.get(index) ?? { text: "", calls: "", finish: null };
  choices.set(index, choice);
  const said = objectOf(message ?? delta);
  choice.text += `${textOf(said.reasoning_content)}${textOf(said.content)}${textOf(words)}`;
  for (const call of listOf(said.tool_calls)) {
    const { name, arguments: given } = objectOf(objectOf(call).function);
    choice.calls += `${textOf(name)}${textOf(given)}`;
  }
  if (typeof finish === "string") choice.finish = finish;
}

/** The position of the first character in which two texts differ; null: they are the same. */
export function firstDifference(one: string, other: string): number | null {
  if (one === other) return null;
  const shorter = Math.min(one.length, other.length);
  for (let at = 0; at < shorter; at++) if (one.charCodeAt(at) !== other.charCodeAt(at)) return at;
  return shorter;
}

function eventsOf(text: string): string[] {
  return text
    .split("\n")
    .filter((line) => line.startsWith("data: ") && !line.startsWith("data: [DONE]"))
    .map((line) => line.slice("data: ".length));
}

function parsed(text: string): Sent | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Sent) : null;
  } catch {
    return null; // cut off in the middle
  }
}

function objectOf(value: unknown): Sent {
  return typeof value === "object" && value !== null ? (value as Sent) : {};
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
