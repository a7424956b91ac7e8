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
  countTokens?(): Promise<number>;
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
 * @throws ApiError `model_not_allowed` (1), `context_length_exceeded` and `input_limit_exceeded` (2), `output_limit_exceeded` (3);
 *   what counting throws
 */
export function checkCall(terms: Terms, size: Size): Length | Promise<Length> {
  const { model, inputTokens } = size;
  const withheld = withheldBy(terms, model); // 1
  if (withheld === "plan") throw modelNotInPlan(terms, model);
  if (withheld === "key") throw modelNotForKey(terms, model);

  const inputMax = limitOf(terms, "inputTokensMax"); // 2
  if (inputMax === null || inputTokens <= inputMax) return checkRest(terms, size, null);
  return checkCounted(terms, size, inputMax);
}

async function checkCounted(terms: Terms, size: Size, inputMax: number): Promise<Length> {
  const tokens = await countOf(size);
  if (tokens > inputMax) throw inputTooLong(terms, size.model, tokens, size.inputField ?? "messages");
  return checkRest(terms, size, tokens);
}

/** @param counted the prompt's tokens; null: not counted yet */
function checkRest(terms: Terms, size: Size, counted: number | null): Length | Promise<Length> {
  checkMeasures(terms, size.measures ?? []);
  return cut(terms, size, counted); // 3
}

async function countOf(size: Size): Promise<number> {
  return size.countTokens ? size.countTokens() : size.inputTokens;
}

/** @throws ApiError `input_limit_exceeded` */
export function checkMeasures(terms: Terms, measures: readonly Measure[]): void {
  for (const measure of measures) {
    const most = limitOf(terms, measure.limit);
    if (most !== null && measure.amount > most) throw inputTooLarge(terms, measure);
  }
}

function cut(terms: Terms, size: Size, counted: number | null): Length | Promise<Length> {
  const { model, inputTokens, outputTokens, choices = 1 } = size;
  const outputMax = limitOf(terms, "outputTokensMax");
  if (outputMax === null) return FREE;
  const each = Math.floor(outputMax / choices);
  if (each < 1) throw tooManyAnswers(terms, choices);
  if (outputTokens !== null) return { outputTokensMax: Math.min(outputTokens, each), clamped: outputTokens > each };

  // Who left the length to the model gets what the context has room for. Engines refuse a length that does not fit behind
  // the prompt, so it is only named where it is shorter than that room.
  const { contextTokens } = model;
  if (contextTokens === null || inputTokens + each <= contextTokens) return { outputTokensMax: each, clamped: false };
  return each >= contextTokens ? FREE : cutByCount(size, counted, each, contextTokens);
}

async function cutByCount(size: Size, counted: number | null, each: number, contextTokens: number): Promise<Length> {
  const tokens = counted ?? (await countOf(size));
  return tokens + each <= contextTokens ? { outputTokensMax: each, clamped: false } : FREE;
}

/** As long as the caller says, or the model likes. */
const FREE: Length = Object.freeze({ outputTokensMax: null, clamped: false });
