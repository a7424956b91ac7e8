// What we must never send, because some SDK breaks on it or silently loses data. Each rule is one line of what was
// measured on 2026-11-21 with openai for Node, Python and Go, the AI SDK and LangChain.js, and looks at one answer.
// The shapes as such are the oracle's affair.

import { deltasOf, type SeenDelta, type SeenStream } from "./stream.ts";

export interface Rule<Seen> {
  /** What must not be, in words. */
  never: string;
  /** What was seen of it; undefined when nothing was. */
  seen: (answer: Seen) => unknown;
}

/** A whole answer, with what was asked. */
export interface SeenWhole {
  raw: string;
  contentType: string | null;
  body: Record<string, unknown>;
  request: Record<string, unknown>;
}

const blocksOf = (raw: string) => raw.split("\n\n");
const linesOf = (raw: string) => raw.split("\n");
const choicesOf = (stream: SeenStream) => stream.chunks.flatMap((chunk) => chunk.choices ?? []);
const isNamed = (request: Record<string, unknown>) =>
  typeof request.tool_choice === "object" && (request.tool_choice as { type?: unknown } | null)?.type === "function";

/** Of every event stream, whatever its chunks hold. */
export const FRAMING_RULES: Rule<SeenStream>[] = [
  {
    never: "a comment followed by an empty line",
    seen: ({ raw }) => raw.match(/(^|\n):[^\n]*\n\r?\n/)?.[0],
  },
  {
    never: "an event without data, or with empty data",
    seen: ({ raw, whole }) =>
      blocksOf(raw)
        .slice(0, whole ? undefined : -1)
        .find((block) => {
          const lines = linesOf(block).filter((line) => line !== "" && !line.startsWith(":"));
          return lines.length > 0 && !lines.some((line) => /^data:\s*\S/.test(line));
        }),
  },
  {
    never: "a line that is neither data nor a comment (id, event, retry), a carriage return, data without its space",
    seen: ({ raw, whole }) =>
      linesOf(raw)
        .slice(0, whole ? undefined : -1)
        .find((line) => (line !== "" && !/^(data: |:)/.test(line)) || line.includes("\r")),
  },
  {
    never: "data that is neither JSON nor [DONE]",
    seen: ({ garbage }) => garbage[0],
  },
  {
    never: "an end without an exact [DONE], or with two of them",
    seen: ({ raw, whole, errors }) =>
      whole && errors.length === 0 && !(raw.endsWith("\n\ndata: [DONE]\n\n") && raw.split("[DONE]\n").length === 2)
        ? raw.slice(-60)
        : undefined,
  },
  {
    never: "a last event without its empty line",
    seen: ({ raw, whole }) => (whole && !raw.endsWith("\n\n") ? raw.slice(-60) : undefined),
  },
  {
    never: "an `error` key that is null, or that stands beside choices",
    seen: ({ chunks, errors }) =>
      chunks.find((chunk) => "error" in chunk) ?? errors.find((chunk) => "choices" in chunk),
  },
  {
    never: "an error that is followed by anything, or that looks finished",
    seen: ({ raw, errors }) => {
      if (errors.length === 0) return undefined;
      return errors.length > 1 || !/data: \{"error":[^\n]*\n\n$/.test(raw) ? raw.slice(-200) : undefined;
    },
  },
  {
    never: "an error without its four keys",
    seen: ({ errors }) => errors.find((chunk) => !isEnvelope(chunk)),
  },
  {
    never: "a head (id, created, model, object, system_fingerprint) that changes within a stream",
    seen: ({ chunks }) => {
      const heads = new Set(
        chunks.map(({ id, created, model, object, system_fingerprint }) =>
          JSON.stringify([id, created, model, object, system_fingerprint]),
        ),
      );
      return heads.size > 1 ? [...heads] : undefined;
    },
  },
  {
    never: "choices that are missing or null",
    seen: ({ chunks }) => chunks.find((chunk) => !Array.isArray(chunk.choices)),
  },
  {
    never: "a choice without its index",
    seen: (stream) => choicesOf(stream).find((choice) => !Number.isInteger(choice.index)),
  },
  {
    never: "usage other than asked for: nulls and one last chunk with include_usage, no key without",
    seen: ({ chunks, errors, whole, request }) => {
      const asked = (request.stream_options as { include_usage?: unknown } | null | undefined)?.include_usage === true;
      if (!asked) return chunks.find((chunk) => "usage" in chunk);
      const wrong = chunks.find(
        (chunk) => !("usage" in chunk) || (chunk.usage !== null && chunk.choices?.length !== 0),
      );
      if (wrong || !whole || errors.length > 0) return wrong;
      const counted = chunks.filter((chunk) => chunk.usage);
      return counted.length === 1 && chunks.at(-1) === counted[0] ? undefined : { chunksWithUsage: counted.length };
    },
  },
  {
    never: "a character torn apart",
    seen: ({ raw, request }) => (isTorn(raw, request) ? "U+FFFD" : undefined),
  },
];

/** Of chat streams. */
export const CHAT_STREAM_RULES: Rule<SeenStream>[] = [
  {
    never: "a role that is missing, repeated, empty, or late",
    seen: (stream) =>
      [...deltasOf(stream).values()]
        .map((deltas) => deltas.map(({ delta }) => ("role" in delta ? delta.role : undefined)))
        .find(([first, ...later]) => first !== "assistant" || later.some((role) => role !== undefined)),
  },
  {
    never: "a finish reason that never comes, comes twice or early, or is not null before",
    seen: (stream) => {
      const cut = !stream.whole || stream.errors.length > 0;
      for (const deltas of deltasOf(stream).values()) {
        const early = deltas.slice(0, -1).find(({ finish, has }) => !has || finish !== null);
        if (early) return early;
        const last = deltas.at(-1)!;
        if (typeof last.finish !== "string" ? !cut : last.finish === "") return last;
      }
      return undefined;
    },
  },
  {
    never: "another finish reason than tool_calls for calls (stop for a named one), or tool_calls without calls",
    seen: (stream) =>
      [...deltasOf(stream).values()].find((deltas) => {
        const finish = deltas.at(-1)!.finish;
        const called = deltas.some(({ delta }) => delta.tool_calls);
        return isWrongFinish(
          finish,
          called,
          deltas.some(({ delta }) => delta.function_call),
          stream.request,
        );
      }),
  },
  {
    never: "tool_calls that are an empty list or null",
    seen: (stream) => deltaWith(stream, (delta) => "tool_calls" in delta && !delta.tool_calls?.length),
  },
  {
    never: "a tool call whose index is missing, does not start at 0, or leaps",
    seen: (stream) =>
      eachCallList(stream, (calls) => {
        let next = 0;
        for (const { index } of calls) {
          if (!Number.isInteger(index) || (index as number) > next) return { index, expectedAtMost: next };
          if (index === next) next++;
        }
        return undefined;
      }),
  },
  {
    never: "a first piece of a tool call without id, type, name or arguments",
    seen: (stream) =>
      eachCall(stream, ([first]) =>
        typeof first?.id === "string" &&
        first.id !== "" &&
        first.type === "function" &&
        typeof first.function?.name === "string" &&
        first.function.name !== "" &&
        typeof first.function.arguments === "string"
          ? undefined
          : first,
      ),
  },
  {
    never: "id, type or name of a tool call again in a later piece, not even as null",
    seen: (stream) =>
      eachCall(stream, ([, ...later]) =>
        later.find((call) => "id" in call || "type" in call || "name" in (call.function ?? {})),
      ),
  },
  {
    never: "two tool calls with the same id",
    seen: (stream) => {
      const ids = callsByIndex(stream).map(([first]) => first?.id);
      return new Set(ids).size < ids.length ? ids : undefined;
    },
  },
  {
    never: "arguments of a finished tool call that are not a JSON object",
    seen: (stream) =>
      eachCall(stream, (calls) => {
        if (!isComplete(stream)) return undefined;
        const text = calls.map((call) => call.function?.arguments ?? "").join("");
        return isObjectText(text) ? undefined : { arguments: text };
      }),
  },
];

/** Of whole chat answers. */
export const CHAT_WHOLE_RULES: Rule<SeenWhole>[] = [
  {
    never: "JSON under another content type",
    seen: ({ contentType }) => (/^application\/json\b/.test(contentType ?? "") ? undefined : (contentType ?? "none")),
  },
  {
    never: "an error, or a key of that name, under status 200",
    seen: ({ body }) => ("error" in body ? (body.error ?? "null") : undefined),
  },
  {
    never: "choices that are missing, null or empty",
    seen: ({ body }) => (Array.isArray(body.choices) && body.choices.length > 0 ? undefined : String(body.choices)),
  },
  {
    never: "a choice without index, or with one out of order",
    seen: (answer) => wholeChoices(answer).find((choice, at) => choice.index !== at),
  },
  {
    never: "a message without the role assistant, or without content and refusal keys",
    seen: (answer) =>
      wholeChoices(answer).find(
        ({ message }) => message?.role !== "assistant" || !("content" in message) || !("refusal" in message),
      ),
  },
  {
    never: "usage that is missing or does not add up",
    seen: ({ body }) => {
      const usage = body.usage as Record<string, number> | undefined;
      const adds =
        usage && usage.prompt_tokens! > 0 && usage.prompt_tokens! + usage.completion_tokens! === usage.total_tokens;
      return adds ? undefined : (usage ?? "none");
    },
  },
  {
    never: "tool_calls that are an empty list or null",
    seen: (answer) =>
      wholeChoices(answer).find(({ message }) => message && "tool_calls" in message && !message.tool_calls?.length),
  },
  {
    never: "a tool call without id, type, name, or arguments that are the text of a JSON object",
    seen: (answer) =>
      wholeChoices(answer)
        .filter(({ finish_reason }) => finish_reason !== "length")
        .flatMap(({ message }) => message?.tool_calls ?? [])
        .find(
          (call) =>
            typeof call.id !== "string" ||
            call.type !== "function" ||
            typeof call.function?.name !== "string" ||
            !isObjectText(call.function.arguments),
        ),
  },
  {
    never: "another finish reason than tool_calls for calls (stop for a named one), or tool_calls without calls",
    seen: (answer) =>
      wholeChoices(answer).find(({ message, finish_reason }) =>
        isWrongFinish(finish_reason, Boolean(message?.tool_calls), Boolean(message?.function_call), answer.request),
      ),
  },
  {
    never: "a character torn apart",
    seen: ({ raw, request }) => (isTorn(raw, request) ? "U+FFFD" : undefined),
  },
];

interface WholeChoice {
  index?: unknown;
  finish_reason?: unknown;
  message?: SeenDelta & { function_call?: unknown };
}

function wholeChoices({ body }: SeenWhole): WholeChoice[] {
  return Array.isArray(body.choices) ? body.choices : [];
}

function isTorn(raw: string, request: Record<string, unknown>): boolean {
  // The built-in model does say bytes that never were a character; others repeat what they were given.
  return raw.includes("\uFFFD") && request.model !== "tiny" && !JSON.stringify(request).includes("\uFFFD");
}

function isWrongFinish(finish: unknown, calls: boolean, legacy: boolean, request: Record<string, unknown>): boolean {
  if (typeof finish !== "string" || finish === "length" || finish === "content_filter") return false;
  // A named choice is answered with `stop`, as OpenAI does.
  if (calls) return finish !== (isNamed(request) ? "stop" : "tool_calls");
  if (legacy) return finish !== (typeof request.function_call === "object" ? "stop" : "function_call");
  return finish !== "stop";
}

/** `{error: {message, type, param, code}}`, nothing less and nothing else. */
export function isEnvelope(body: unknown): boolean {
  const error = (body as { error?: unknown } | null)?.error;
  if (typeof error !== "object" || error === null || Object.keys(body as object).length !== 1) return false;
  const { message, type, param, code } = error as Record<string, unknown>;
  const orNull = (value: unknown) => value === null || (typeof value === "string" && value !== "");
  return (
    Object.keys(error).sort().join() === "code,message,param,type" &&
    typeof message === "string" &&
    message !== "" &&
    typeof type === "string" &&
    orNull(param) &&
    orNull(code)
  );
}

function isObjectText(text: unknown): boolean {
  try {
    const value = JSON.parse(text as string);
    return typeof text === "string" && typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

type CallPiece = NonNullable<SeenDelta["tool_calls"]>[number];

function isComplete(stream: SeenStream): boolean {
  return (
    stream.whole &&
    stream.errors.length === 0 &&
    choicesOf(stream).every(({ finish_reason }) => finish_reason !== "length")
  );
}

function deltaWith(stream: SeenStream, test: (delta: SeenDelta) => boolean): SeenDelta | undefined {
  return choicesOf(stream)
    .map(({ delta }) => delta ?? {})
    .find(test);
}

/** The pieces of tool calls of each choice, in order. */
function eachCallList(stream: SeenStream, seen: (pieces: CallPiece[]) => unknown): unknown {
  for (const deltas of deltasOf(stream).values()) {
    const found = seen(deltas.flatMap(({ delta }) => delta.tool_calls ?? []));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The pieces of each single tool call. */
function callsByIndex(stream: SeenStream): CallPiece[][] {
  return [...deltasOf(stream).values()].flatMap((deltas) => {
    const byIndex = new Map<unknown, CallPiece[]>();
    for (const piece of deltas.flatMap(({ delta }) => delta.tool_calls ?? [])) {
      byIndex.set(piece.index, [...(byIndex.get(piece.index) ?? []), piece]);
    }
    return [...byIndex.values()];
  });
}

function eachCall(stream: SeenStream, seen: (pieces: CallPiece[]) => unknown): unknown {
  return callsByIndex(stream)
    .map(seen)
    .find((found) => found !== undefined);
}
