// From a chat answer to a response: whole, or event by event as the chunks of a stream come. One machine does both, so that
// a stream ends with what the whole answer would have been.

import type { ChatCompletion, FinishReason, TokenLogprob, Usage } from "./chat-answer.ts";
import { answerNotUnderstood } from "./engine-failures.ts";
import type { ErrorBody } from "./errors.ts";
import { type IdPrefix, unixSeconds } from "./ids.ts";
import { type ResponsesCall, wantsSummary } from "./responses.ts";
import {
  createResponse,
  endingOf,
  type ResponseObject,
  type ResponseState,
  responseErrorOf,
  responseUsageOf,
} from "./responses-answer.ts";
import { createOutput } from "./responses-output.ts";
import { createSseReader, sseTypedEvent } from "./sse.ts";

export interface ResponsesAnswerOptions {
  call: ResponsesCall;
  /** The id to answer with. */
  model: string;
  /** Puts what an engine says about the chat request into the words of the caller's own. */
  words: (body: ErrorBody) => ErrorBody;
  newId: (prefix: IdPrefix) => string;
  /** Unix milliseconds. */
  now: () => number;
}

/** For one call: use `whole`, or `push` and `fail`. */
export function createResponsesAnswer({ call, model, words, newId, now }: ResponsesAnswerOptions) {
  const objectIn = createResponse(call, newId("resp_"), unixSeconds(now()), model);
  const state: ResponseState = {
    status: "in_progress",
    completed_at: null,
    incomplete_details: null,
    error: null,
    output: [],
    usage: null,
  };
  const reader = createSseReader();
  let events = "";
  let sequence = 0;
  let finish: FinishReason | null = null;

  const emit = (type: string, fields: object) => {
    events += sseTypedEvent({ type, sequence_number: sequence++, ...fields });
  };
  const output = createOutput({ newId, summary: wantsSummary(call), emit });

  /** The state at the end, however it came: what is open is closed, and an answer without anything has an empty text. */
  function settle(): void {
    Object.assign(state, endingOf(finish ?? "stop", unixSeconds(now())));
    const said = output.items.some((item) => item.type !== "reasoning");
    if (!said && state.status === "completed") output.text("");
    output.close(state.status === "completed" ? "completed" : "incomplete");
    state.output = output.items;
  }

  function begin(): void {
    if (sequence > 0) return;
    emit("response.created", { response: objectIn(state) });
    emit("response.in_progress", { response: objectIn(state) });
  }

  function take(chunk: ChatChunk): void {
    if (chunk.usage) state.usage = responseUsageOf(chunk.usage);
    const choice = chunk.choices?.[0];
    if (!choice) return;
    const { delta = {} } = choice;
    const logprobs = call.include ? (choice.logprobs?.content ?? []).map(withBytes) : [];
    const padding = chunk.obfuscation === undefined ? {} : { obfuscation: chunk.obfuscation };
    if (delta.reasoning_content) output.reasoning(delta.reasoning_content, padding);
    if (delta.content) output.text(delta.content, { logprobs, ...padding });
    else if (logprobs.length > 0) output.silentTokens(logprobs);
    for (const { index, id, function: called } of delta.tool_calls ?? []) {
      if (id) output.callStart(index, id, called?.name ?? "");
      if (called?.arguments) output.callArguments(index, called.arguments, padding);
    }
    if (choice.finish_reason) finish = choice.finish_reason;
  }

  function fail(body: ErrorBody): void {
    begin();
    output.abandon();
    Object.assign(state, { status: "failed", error: responseErrorOf(words(body)), output: output.items });
    emit("response.failed", { response: objectIn(state) });
  }

  function taken(): string {
    const text = events;
    events = "";
    return text;
  }

  return {
    /**
     * @param bytes of a chat answer
     * @throws ApiError `engine_failed` for what is none
     */
    whole(bytes: Uint8Array): ResponseObject {
      const chat: Partial<ChatCompletion> = parse(new TextDecoder().decode(bytes));
      const choice = chat.choices?.[0];
      if (!choice?.message) throw answerNotUnderstood();
      const { message, finish_reason, logprobs } = choice;
      const calls = message.tool_calls?.map((each, index) => ({ ...each, index }));
      const { reasoning_content, content } = message;
      take({
        choices: [{ delta: { reasoning_content, content, tool_calls: calls }, finish_reason, logprobs }],
        usage: chat.usage ?? null,
      });
      settle();
      return objectIn(state);
    },
    /**
     * @param bytes of a chat stream that was asked for with its usage
     * @returns the events that they make, empty when there are none yet
     * @throws ApiError `engine_failed` for what is no chunk
     */
    push(bytes: Uint8Array): string {
      for (const { data } of reader.push(bytes)) {
        if (state.status !== "in_progress") break;
        begin();
        if (data === "[DONE]") {
          settle();
          emit(`response.${state.status}`, { response: objectIn(state) });
          continue;
        }
        const chunk: ChatChunk = parse(data);
        if (chunk.error) fail(chunk as unknown as ErrorBody);
        else take(chunk);
      }
      return taken();
    },
    /** The events that end the stream when the rest will not come. */
    fail(body: ErrorBody): string {
      if (state.status === "in_progress") fail(body);
      return taken();
    },
  };
}

/** A chunk, as far as it is read: engines may leave out what SDKs need. */
interface ChatChunk {
  choices?: {
    delta?: {
      content?: string | null | undefined;
      reasoning_content?: string | null | undefined;
      tool_calls?:
        | { index: number; id?: string; function?: { name?: string; arguments?: string } }[]
        | null
        | undefined;
    };
    finish_reason?: FinishReason | null;
    logprobs?: { content: TokenLogprob[] | null } | null | undefined;
  }[];
  usage?: Usage | null;
  obfuscation?: string;
  error?: unknown;
}

function parse(json: string): object {
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // falls through: what it is instead is nobody's business but the engine's
  }
  throw answerNotUnderstood();
}

/** Chat has null for tokens that are no text; this API wants a list. */
function withBytes(entry: TokenLogprob): TokenLogprob {
  const top_logprobs = entry.top_logprobs.map((top) => ({ ...top, bytes: top.bytes ?? [] }));
  return { ...entry, bytes: entry.bytes ?? [], top_logprobs };
}
