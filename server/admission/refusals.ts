// The words of every refusal: which rule, its limit, what was asked, when it is over, and which plan lifts it. Clients read
// them too: what SDKs and frameworks look for in a 429 is in the contract's table and in docs/plans.md.

import { ApiError } from "@oxbow/contract";
import type { Model, Plan, PlanLimit } from "../config.ts";
import { durationText } from "./headers.ts";
import type { Refused, RuleName } from "./limits.ts";
import { liftedBy, limitOf, type Measure, plansWith, type Terms } from "./terms.ts";

/** 0 to 1, as `Math.random`. */
export type Random = () => number;

/** 403: the plan's tiers do not have it. */
export function modelNotInPlan(terms: Terms, { id, tier }: Pick<Model, "id" | "tier">): ApiError {
  const names = plansWith(terms, tier).map(nameOf);
  const have = names.length === 1 ? "has" : "have";
  const help = names.length === 0 ? "No plan on sale has it: ask the operator." : `${listOf(names)} ${have} it.`;
  const text = `The model \`${id}\` is of the tier ${tier}, which the plan ${nameOf(terms.plan)} does not have. ${help}`;
  return new ApiError("model_not_allowed", text, { param: "model" });
}

/** 403: the key was narrowed to other models. */
export function modelNotForKey({ caller }: Terms, { id }: Pick<Model, "id">): ApiError {
  const names = (caller.keyModels ?? []).map((each) => `\`${each}\``);
  const text = `This API key may not call the model \`${id}\`, only ${listOf(names)}. Another key of the account may.`;
  return new ApiError("model_not_allowed", text, { param: "model" });
}

/** @param field that holds the prompt */
export function inputTooLong(
  terms: Terms,
  model: Pick<Model, "contextTokens">,
  tokens: number,
  field: string,
): ApiError {
  const own = model.contextTokens === null ? "" : `, not the model's, whose context is ${model.contextTokens} tokens`;
  const text = `Your ${field} resulted in ${tokens} tokens, but ${allows(terms, "inputTokensMax")} input tokens a request. That is the limit of the plan${own}. Please reduce the length of the ${field}. ${helpFor(terms, "inputTokensMax", tokens)}`;
  return new ApiError("context_length_exceeded", text, { param: field });
}

/** Audio, images or a text to be spoken. */
export function inputTooLarge(terms: Terms, { limit, amount, field }: Measure): ApiError {
  const { unit, cure } = MEASURES[limit];
  // A part of a second more is more, and rounding must not hide it.
  const text = `Your ${field} has ${Math.ceil(amount * 10) / 10} ${unit}, but ${allows(terms, limit)} ${unit} a request. ${cure} ${helpFor(terms, limit, amount)}`;
  return new ApiError("input_limit_exceeded", text, { param: field });
}

const MEASURES: Record<Measure["limit"], { unit: string; cure: string }> = {
  audioSecondsMax: { unit: "seconds of audio", cure: "Please send a shorter recording, or a long one in parts." },
  imagePixelsMax: { unit: "pixels", cure: "Please send or ask for smaller images." },
  speechCharactersMax: { unit: "characters to be spoken", cure: "Please send a shorter text, or a long one in parts." },
};

/** Not one token for each answer: nothing that could be cut shorter. */
export function tooManyAnswers(terms: Terms, choices: number): ApiError {
  const text = `You asked for ${choices} answers in one call, but ${allows(terms, "outputTokensMax")} output tokens a request, which is less than one for each. Ask for fewer. ${helpFor(terms, "outputTokensMax", choices)}`;
  return new ApiError("output_limit_exceeded", text, { param: "n" });
}

/** 429. A wait of a minute at most is told as SDKs can follow it, a longer one so that they give up. */
export function limitReached(terms: Terms, refused: Refused, units: number, random: Random): ApiError {
  const { rule, resetMs } = refused;
  const waitMs = resetMs ?? UNKNOWN_WAIT_MS;
  if (waitMs > WAIT_MS_MAX) return dayUsedUp(terms, refused, units, waitMs);
  const retryAfterMs = withJitter(waitMs, random);
  const text = `Rate limit reached for ${NAMES[rule]}: ${shortStory(terms, refused, units)} Please try again in ${retryAfterMs / 1000}s.`;
  return new ApiError("rate_limit_exceeded", text, { retryAfterMs });
}

/**
 * SDKs follow a wait of up to a minute, and forget a longer one and hammer. Measured 2026-11-21 with openai for Node and
 * Python.
 */
const WAIT_MS_MAX = 60_000;
/** Nobody knows when a call of the account's own ends. */
const UNKNOWN_WAIT_MS = 1_000;

const NAMES: Record<RuleName, string> = {
  requestsPerDay: "requests per day",
  keyRequestsPerDay: "requests per day of this API key",
  requestsPerMinute: "requests per minute",
  concurrency: "concurrent requests",
};

/** No word in it may be one by which frameworks tell that waiting is useless: quota, billing, "will reset at". */
function shortStory(terms: Terms, { rule, limit, used }: Refused, units: number): string {
  switch (rule) {
    case "requestsPerMinute":
      return `${allows(terms, "requestsPerMinute")} a minute, at an even pace. ${helpFor(terms, "requestsPerMinute", limit + 1)}`;
    case "concurrency":
      return `${allows(terms, "concurrencyMax")} at the same time, and ${used} ${used === 1 ? "is" : "are"} running. ${helpFor(terms, "concurrencyMax", limit + 1)}`;
    case "requestsPerDay":
      return `${allows(terms, "requestsPerDay")} a day, of which ${used} are used${asked(units)}. ${helpFor(terms, "requestsPerDay", limit + 1)}`;
    case "keyRequestsPerDay":
      return `it may make ${limit} a day, of which ${used} are used${asked(units)}. ${OTHER_KEY}`;
  }
}

function dayUsedUp(terms: Terms, { rule, limit, used }: Refused, units: number, waitMs: number): ApiError {
  const ofKey = rule === "keyRequestsPerDay";
  const story = ofKey ? `this API key may make ${limit} requests` : `${allows(terms, "requestsPerDay")} requests`;
  const help = ofKey ? OTHER_KEY : helpFor(terms, "requestsPerDay", limit + 1);
  const over = `A new day begins at 00:00 UTC, in ${durationText(Math.ceil(waitMs / 1000) * 1000)}.`;
  const text = `You exceeded your current quota: ${story} a day, of which ${used} are used${asked(units)}. ${over} ${help}`;
  return new ApiError("insufficient_quota", text);
}

const OTHER_KEY = "Another key of the account may have more.";

function asked(units: number): string {
  return units === 1 ? "" : `, and this call counts ${units}`;
}

/** Each call is told another moment, so that those who were refused together do not come back together. */
function withJitter(waitMs: number, random: Random): number {
  const spread = Math.max(JITTER_MS_MIN, waitMs / 10);
  const ms = Math.min(WAIT_MS_MAX, waitMs + random() * spread);
  return Math.ceil(ms / 10) * 10;
}

const JITTER_MS_MIN = 250;

/** "the plan Free (2026) allows 60", or what the contract says instead. */
function allows(terms: Terms, name: PlanLimit): string {
  const agreed = terms.caller.overrides[name] !== undefined;
  return `${agreed ? "your contract" : `the plan ${nameOf(terms.plan)}`} allows ${limitOf(terms, name)}`;
}

/** Which plan would have let it through. */
function helpFor(terms: Terms, name: PlanLimit, needed: number): string {
  const plan = liftedBy(terms, name, needed);
  if (!plan) return "No plan on sale allows more: ask the operator.";
  const limit = plan[name];
  const price = plan.priceCents === null ? ", by contract" : "";
  return `${nameOf(plan)} ${limit === null ? `has no fixed limit${price}` : `allows ${limit}${price}`}.`;
}

function nameOf({ name, version }: Plan): string {
  return `${name} (${version})`;
}

function listOf(names: string[]): string {
  return new Intl.ListFormat("en-GB", { type: "conjunction" }).format(names);
}
