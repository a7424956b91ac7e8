// What a plan says about one call before anything is counted: has it the model, is the prompt short enough, and how long may
// the answer be.

import type { Model } from "../config.ts";
import { inputTooLarge, inputTooLong, modelNotForKey, modelNotInPlan, tooManyAnswers } from "./refusals.ts";
import { limitOf, type Measure, type Terms, withheldBy } from "./terms.ts";

/** What is asked for, as the plan looks at it. */
export interface Size {
  model: Pick<Model, "id" | "tier" | "contextTokens">;
  /** Tokens of the prompt's texts, or a number that is not below them. */
  inputTokens: number;
  /** The exact number, where `inputTokens` is only a bound. Asked once at most, and only when the bound decides nothing. */
  countTokens?: () => Promise<number>;
  /** What else is limited. */
  measures?: readonly Measure[];
  /** The field that holds the prompt, for messages; absent: `messages`. */
  inputField?: string;
  /** Tokens of one answer; null: as many as there are. */
  outputTokens: number | null;
  /** Answers that are made for the call, and share the plan's output tokens; absent: 1. */
  choices?: number;
}

/** What one answer may have. */
export interface Length {
  /** To be sent to the engine; null: what the caller sent, or left out, is fine as it is. */
  outputTokensMax: number | null;
  /** He asked for more. */
  clamped: boolean;
}

/**
 * Decides in this order:
 *  1. the plan, or the trial, has the model, and so has the key;
 *  2. the prompt is short enough: by a bound of its length, else by its count; and so is what is no text;
 *  3. the answer is cut to what the plan allows, unless nothing would be left of it.
 *
 * @throws ApiError `model_not_allowed` (1), `context_length_exceeded` and `input_limit_exceeded` (2), `output_limit_exceeded` (3); what counting throws
 */
export function checkCall(terms: Terms, size: Size): Length | Promise<Length> {
  const { model, inputTokens, inputField = "messages" } = size;
  const withheld = withheldBy(terms, model); // 1
  if (withheld === "plan") throw modelNotInPlan(terms, model);
  if (withheld === "key") throw modelNotForKey(terms, model);

  let counted: number | null = size.countTokens ? null : inputTokens;
  const count = async () => (counted ??= (await size.countTokens?.()) ?? inputTokens);
  const inputMax = limitOf(terms, "inputTokensMax"); // 2
  const rest = () => {
    checkMeasures(terms, size.measures ?? []);
    return cut(terms, size, count); // 3
  };
  if (inputMax === null || inputTokens <= inputMax) return rest();
  return count().then((tokens) => {
    if (tokens > inputMax) throw inputTooLong(terms, model, tokens, inputField);
    return rest();
  });
}

/** @throws ApiError `input_limit_exceeded` */
export function checkMeasures(terms: Terms, measures: readonly Measure[]): void {
  for (const measure of measures) {
    const most = limitOf(terms, measure.limit);
    if (most !== null && measure.amount > most) throw inputTooLarge(terms, measure);
  }
}

function cut(terms: Terms, size: Size, count: () => Promise<number>): Length | Promise<Length> {
  const { model, inputTokens, outputTokens, choices = 1 } = size;
  const outputMax = limitOf(terms, "outputTokensMax");
  if (outputMax === null) return { outputTokensMax: null, clamped: false };
  const each = Math.floor(outputMax / choices);
  if (each < 1) throw tooManyAnswers(terms, choices);
  if (outputTokens !== null) return { outputTokensMax: Math.min(outputTokens, each), clamped: outputTokens > each };

  // Who left the length to the model gets what the context has room for. Engines refuse a length that does not fit behind
  // the prompt, so it is only named where it is shorter than that room.
  const { contextTokens } = model;
  const named = { outputTokensMax: each, clamped: false };
  if (contextTokens === null || inputTokens + each <= contextTokens) return named;
  const free = { outputTokensMax: null, clamped: false };
  if (each >= contextTokens) return free;
  return count().then((tokens) => (tokens + each <= contextTokens ? named : free));
}
