// The Response object: every key that the API has, nulls included, because SDKs and strict clients miss absent ones; and
// its parts, as far as a chat answer fills them.
// Source: openai-openapi 2.3.0, `Response`, read 2026-11-21, and recorded answers.

import type { FinishReason, TokenLogprob, Usage } from "./chat-answer.ts";
import type { ErrorBody } from "./errors.ts";
import { type ResponsesCall, wantsSummary } from "./responses.ts";

export type ItemStatus = "in_progress" | "completed" | "incomplete";

export interface OutputText {
  type: "output_text";
  text: string;
  annotations: [];
  logprobs: TokenLogprob[];
}
export interface ReasoningText {
  type: "reasoning_text";
  text: string;
}
export interface SummaryText {
  type: "summary_text";
  text: string;
}

export interface OutputMessage {
  id: string;
  type: "message";
  status: ItemStatus;
  role: "assistant";
  content: OutputText[];
}
export interface OutputFunctionCall {
  id: string;
  type: "function_call";
  status: ItemStatus;
  call_id: string;
  name: string;
  /** JSON text. */
  arguments: string;
}
/** The text stands in `summary` when the caller asked for one, else in `content`. */
export interface OutputReasoning {
  id: string;
  type: "reasoning";
  status: ItemStatus;
  summary: SummaryText[];
  content: ReasoningText[];
  encrypted_content: null;
}
export type OutputItem = OutputMessage | OutputFunctionCall | OutputReasoning;

export interface ResponseUsage {
  input_tokens: number;
  input_tokens_details: { cached_tokens: number; cache_write_tokens: number };
  output_tokens: number;
  output_tokens_details: { reasoning_tokens: number };
  total_tokens: number;
}

/** What changes while a response is made. */
export interface ResponseState {
  status: "in_progress" | "completed" | "incomplete" | "failed";
  /** Unix seconds; null unless completed. */
  completed_at: number | null;
  incomplete_details: { reason: "max_output_tokens" | "content_filter" } | null;
  error: { code: string; message: string } | null;
  output: OutputItem[];
  usage: ResponseUsage | null;
}

/** A Response. The keys besides `ResponseState` repeat what was asked, with defaults filled in. */
export interface ResponseObject extends ResponseState {
  id: string;
  object: "response";
  created_at: number;
  model: string;
  [asked: string]: unknown;
}

/**
 * @param id `resp_…`
 * @param createdAt Unix seconds
 * @param model the id to answer with
 * @returns a function that gives the whole object for a state
 */
export function createResponse(call: ResponsesCall, id: string, createdAt: number, model: string) {
  const { reasoning, text } = call;
  const asked = {
    background: false,
    frequency_penalty: call.frequency_penalty ?? 0,
    instructions: call.instructions ?? null,
    max_output_tokens: call.max_output_tokens ?? null,
    max_tool_calls: null,
    metadata: call.metadata ?? {},
    parallel_tool_calls: call.parallel_tool_calls ?? true,
    presence_penalty: call.presence_penalty ?? 0,
    previous_response_id: null,
    prompt_cache_key: call.prompt_cache_key ?? null,
    reasoning: {
      effort: reasoning?.effort ?? null,
      summary: wantsSummary(call) ? (reasoning?.summary ?? reasoning?.generate_summary) : null,
    },
    safety_identifier: call.safety_identifier ?? null,
    service_tier: "default",
    // Whatever was asked: nothing is kept.
    store: false,
    temperature: call.temperature ?? 1,
    text: { format: text?.format ?? { type: "text" }, verbosity: text?.verbosity ?? "medium" },
    tool_choice: call.tool_choice ?? "auto",
    tools: (call.tools ?? []).map(toolOf),
    top_logprobs: call.top_logprobs ?? 0,
    top_p: call.top_p ?? 1,
    truncation: "disabled",
  };
  return ({ status, completed_at, error, incomplete_details, output, usage }: ResponseState): ResponseObject => ({
    id,
    object: "response",
    created_at: createdAt,
    status,
    completed_at,
    error,
    incomplete_details,
    model,
    output,
    usage,
    ...asked,
  });
}

function toolOf({ type, name, description, parameters, strict }: NonNullable<ResponsesCall["tools"]>[number]) {
  return { type, name, description: description ?? null, parameters: parameters ?? null, strict: strict ?? null };
}

/** How a finished answer ended. */
export function endingOf(
  finish: FinishReason,
  nowSeconds: number,
): Pick<ResponseState, "status" | "completed_at" | "incomplete_details"> {
  const cut = finish === "length" ? "max_output_tokens" : finish === "content_filter" ? finish : null;
  if (cut === null) return { status: "completed", completed_at: nowSeconds, incomplete_details: null };
  return { status: "incomplete", completed_at: null, incomplete_details: { reason: cut } };
}

export function responseUsageOf(usage: Usage): ResponseUsage {
  return {
    input_tokens: usage.prompt_tokens,
    input_tokens_details: { cached_tokens: usage.prompt_tokens_details?.cached_tokens ?? 0, cache_write_tokens: 0 },
    output_tokens: usage.completion_tokens,
    output_tokens_details: { reasoning_tokens: usage.completion_tokens_details?.reasoning_tokens ?? 0 },
    total_tokens: usage.total_tokens,
  };
}

/** An error as a failed response carries it: the API has fewer codes there. */
export function responseErrorOf({ error }: ErrorBody): { code: string; message: string } {
  const code =
    error.code === "rate_limit_exceeded"
      ? error.code
      : error.type === "invalid_request_error"
        ? "invalid_prompt"
        : "server_error";
  return { code, message: error.message };
}
