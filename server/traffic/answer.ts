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

interface Delta {
  content?: unknown;
  reasoning_content?: unknown;
  tool_calls?: { function?: { name?: unknown; arguments?: unknown } }[];
}

interface Document {
  choices?: { index?: number; message?: Delta; delta?: Delta; text?: unknown; finish_reason?: unknown }[];
  usage?: { prompt_tokens?: unknown; completion_tokens?: unknown } | null;
  error?: unknown;
}

/** @param bytes of chat completions or completions, as an engine sends them */
export function readSaid(bytes: Uint8Array): Said {
  const text = new TextDecoder().decode(bytes);
  const documents = text.startsWith("{") ? [parsed(text)] : eventsOf(text).map(parsed);
  const choices = new Map<number, { text: string; calls: string; finish: string | null }>();
  let failed = false;
  let tokensIn: number | null = null;
  let tokensOut: number | null = null;
  for (const document of documents) {
    if (document === null || document.error !== undefined) {
      failed = true;
      continue;
    }
    for (const { index = 0, message, delta, text: words, finish_reason: finish } of document.choices ?? []) {
      const choice = choices.get(index) ?? { text: "", calls: "", finish: null };
      choices.set(index, choice);
      const said = message ?? delta ?? {};
      choice.text += `${textOf(said.reasoning_content)}${textOf(said.content)}${textOf(words)}`;
      for (const call of said.tool_calls ?? []) {
        choice.calls += `${textOf(call.function?.name)}${textOf(call.function?.arguments)}`;
      }
      if (typeof finish === "string") choice.finish = finish;
    }
    const { prompt_tokens: prompt, completion_tokens: completion } = document.usage ?? {};
    if (typeof prompt === "number") tokensIn = prompt;
    if (typeof completion === "number") tokensOut = completion;
  }
  const all = [...choices].sort(([a], [b]) => a - b).map(([, choice]) => choice);
  return {
    text: all.map((choice) => choice.text).join("\n"),
    calls: all.map((choice) => choice.calls).join("\n"),
    finish: all.map((choice) => choice.finish ?? "none"),
    whole: !failed && all.length > 0 && all.every((choice) => choice.finish !== null),
    tokensIn,
    tokensOut,
  };
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

function parsed(text: string): Document | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Document) : null;
  } catch {
    return null; // cut off in the middle
  }
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
