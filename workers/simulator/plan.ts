// Decides what an answer to a chat call says: calls of tools, JSON of a shape, or text; and what is thought before.

import { type ChatRequest, type ToolPolicy, toolPolicyOf } from "@oxbow/contract";
import type { Conversation } from "./conversation.ts";
import type { Plan, PlannedCall } from "./generation.ts";
import { hintsOf } from "./hints.ts";
import { writeJson } from "./json-answer.ts";
import type { Random } from "./random.ts";
import { writeReasoning, writeReply } from "./text.ts";
import { decode, encode } from "./tokenizer.ts";
import { planCalls } from "./tool-policy.ts";

export interface PlanRequest {
  call: ChatRequest;
  conversation: Conversation;
  /** Whether the model thinks before it answers. */
  reasons: boolean;
  /** Exact length in tokens that a free answer was asked to have. */
  tokens: number | undefined;
  /** Which of `n` answers. */
  index: number;
}

/** @throws ApiError `invalid_schema` when a schema cannot be met */
export function planAnswer(request: PlanRequest, random: Random): Plan {
  const { call, conversation } = request;
  const policy = toolPolicyOf(call);
  const hints = hintsOf(conversation.userText);
  const reasoning = request.reasons ? think(call, conversation, random) : "";

  const calls = planCalls(policy, conversation, hints, random);
  if (calls.length > 0) return { reasoning, text: "", calls, finish: finishOf(policy), constrained: true };

  const json = writeJson(call.response_format, conversation, hints, random);
  if (json !== null) return { reasoning, text: json, calls, finish: "stop", constrained: true };

  return { reasoning, text: writeText(request, random), calls: NO_CALLS, finish: "stop", constrained: false };
}

const NO_CALLS: PlannedCall[] = [];

function finishOf(policy: ToolPolicy): Plan["finish"] {
  // As OpenAI: a call that had to be made is no reason of its own to end.
  if (policy.named !== null) return "stop";
  return policy.legacy ? "function_call" : "tool_calls";
}

function writeText({ call, conversation, tokens, index }: PlanRequest, random: Random): string {
  const [least, spread] = LENGTHS[call.verbosity ?? "medium"];
  const text = writeReply(
    { ...conversation, tokens: tokens ?? least + random.below(spread), index },
    random,
  ).toWellFormed();
  return tokens === undefined ? text : encode(text).slice(0, tokens).map(decode).join("");
}

/** Tokens of a free answer: at least, and how many more by chance. */
const LENGTHS = { low: [12, 12], medium: [24, 48], high: [80, 120] } as const;

function think(call: ChatRequest, conversation: Conversation, random: Random): string {
  const tokens = THOUGHT_TOKENS[call.reasoning_effort ?? "medium"];
  return tokens === 0 ? "" : writeReasoning(conversation.userText, tokens, random).toWellFormed();
}

const THOUGHT_TOKENS = { none: 0, minimal: 8, low: 20, medium: 40, high: 100, xhigh: 200, max: 400 };
