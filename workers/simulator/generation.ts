// From a plan to the tokens that leave: the limit on tokens, stop strings and sampling are applied here, once, for every
// endpoint, whole or streamed.

import type { FinishReason } from "@oxbow/contract";
import { type Sampling, sampleTokens, type Token } from "./logprobs.ts";
import { decode, encode } from "./tokenizer.ts";

export interface PlannedCall {
  name: string;
  /** JSON text. */
  arguments: string;
}

/** What an answer says when nothing cuts it short. */
export interface Plan {
  reasoning: string;
  text: string;
  calls: PlannedCall[];
  /** Why it ends. */
  finish: FinishReason;
  /** True when the text must keep its shape (JSON): bias and penalties cannot move its tokens. */
  constrained: boolean;
}

export interface Limits {
  tokensMax: number;
  stop: string[];
  sampling: Sampling;
}

export interface Generation {
  reasoning: string[];
  content: Token[];
  calls: { name: string; pieces: string[] }[];
  finish: FinishReason;
  reasoningTokens: number;
  completionTokens: number;
}

/** Applies the limits of a call to a plan. The counts are those of the tokens that leave. */
export function generate(plan: Plan, limits: Limits): Generation {
  // At most half of what may be said is thought: a small limit still brings an answer.
  const thoughts = encode(plan.reasoning).slice(0, Math.floor(limits.tokensMax / 2));
  let left = limits.tokensMax - thoughts.length;

  const { content, cut } = sayText(plan, { ...limits, tokensMax: left });
  left -= content.length;

  const calls: Generation["calls"] = [];
  let isCut = cut === "length";
  for (const call of plan.calls) {
    const ids = encode(call.arguments);
    left -= encode(call.name).length;
    if (left < 0) {
      left = 0;
      isCut = true;
      break;
    }
    calls.push({ name: call.name, pieces: ids.slice(0, left).map(decode) });
    if (ids.length > left) isCut = true;
    left -= Math.min(ids.length, left);
  }
  return {
    reasoning: thoughts.map(decode),
    content,
    calls,
    finish: isCut ? "length" : plan.finish,
    reasoningTokens: thoughts.length,
    completionTokens: limits.tokensMax - left,
  };
}

function sayText(
  plan: Plan,
  { tokensMax, stop, sampling }: Limits,
): { content: Token[]; cut: "stop" | "length" | null } {
  const ids = encode(plan.text);
  const free = plan.constrained ? { ...NEUTRAL, topLogprobs: sampling.topLogprobs } : sampling;
  const content = sampleTokens(ids.slice(0, tokensMax), free);
  const stopped = cutAtStop(content, stop);
  if (stopped) return { content: stopped, cut: "stop" };
  return { content, cut: ids.length > tokensMax ? "length" : null };
}

const NEUTRAL = { bias: new Map<number, number>(), frequencyPenalty: 0, presencePenalty: 0 };

/** The tokens before the first stop string, the last one shortened if need be; null when none comes. */
export function cutAtStop(tokens: Token[], stop: string[]): Token[] | null {
  if (stop.length === 0) return null;
  const text = tokens.map((token) => token.text).join("");
  const places = stop.map((each) => (each === "" ? -1 : text.indexOf(each))).filter((place) => place >= 0);
  if (places.length === 0) return null;
  const end = Math.min(...places);
  const kept: Token[] = [];
  let at = 0;
  for (const token of tokens) {
    if (at >= end) break;
    kept.push(at + token.text.length <= end ? token : shorten(token, end - at));
    at += token.text.length;
  }
  return kept;
}

/** Every beginning of a token's text is a token too. */
function shorten(token: Token, length: number): Token {
  const text = token.text.slice(0, length);
  const short: Token = { id: encode(text)[0]!, text };
  if (token.logprob) short.logprob = { ...token.logprob, token: text, bytes: [...Buffer.from(text)] };
  return short;
}
