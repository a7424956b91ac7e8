// POST /v1/completions, the older form: prompts as text or tokens, several answers to each.

import {
  ApiError,
  COMPLETION_TOKENS_DEFAULT,
  type CompletionChoice,
  type CompletionLogprobs,
  type CompletionRequest,
  createCompletionChunks,
  needsOfCompletion,
  newId,
  parseCompletionRequest,
  promptsOf,
  refuseNeeds,
  unixSeconds,
  usageOf,
} from "@oxbow/contract";
import { type Ask, choicesInStep, FINGERPRINT, featuresOf, refuseOtherCategory, samplingOf, stopsOf } from "./ask.ts";
import { type Generation, generate, type Limits, type Plan } from "./generation.ts";
import { type Sampling, sampleTokens, type Token } from "./logprobs.ts";
import { createRandom, hashNumbers } from "./random.ts";
import { type Answer, respond } from "./respond.ts";
import { writeContinuation } from "./text.ts";
import { decode, encode, isToken } from "./tokenizer.ts";

/** @throws ApiError for every refusal; the signal's reason when the caller hangs up */
export async function completions({ body, model, engine, simulation, wantsUsage, signal }: Ask): Promise<Response> {
  const call = parseCompletionRequest(body);
  refuseOtherCategory(model);
  refuseNeeds(needsOfCompletion(call), featuresOf(model), model.id);
  const prompts = promptsOf(call).map(tokensOf);
  const tokensMax = call.max_tokens ?? COMPLETION_TOKENS_DEFAULT;
  const sampling = samplingOf(call, call.logprobs ?? null);
  const read = promptsRead(call, prompts);
  const job = await engine.admit({ model, prompts: read, tokensMax, body, simulation, signal });

  try {
    const limits = { tokensMax, stop: stopsOf(call), sampling };
    const answers = read.map((tokens) => answersTo(tokens, call, limits, simulation.tokens));
    const texts = answers.flatMap(({ kept }, at) =>
      kept.map((generation) => ({ echoed: call.echo ? echoOf(prompts[at]!, sampling) : [], generation })),
    );
    const completionTokens = answers.reduce((sum, { tokens }) => sum + tokens, 0);
    const usage = usageOf({ prompt: job.promptTokens, completion: completionTokens, cached: job.cachedTokens });
    const answer = answerOf(call, model.id, texts, usage);
    return await respond({ ...answer, wantsUsage }, job, simulation.fault ?? null);
  } catch (error) {
    job.end("error", 0);
    throw error;
  }
}

/** The prompts in tokens. What follows the answer is read like what comes before it. */
export function promptsRead(call: CompletionRequest, prompts = promptsOf(call).map(tokensOf)): number[][] {
  const suffix = encode(call.suffix ?? "");
  return suffix.length > 0 ? prompts.map((prompt) => [...prompt, ...suffix]) : prompts;
}

function tokensOf(prompt: string | number[]): number[] {
  if (typeof prompt === "string") return encode(prompt.toWellFormed());
  const bad = prompt.find((id) => !isToken(id));
  if (bad === undefined) return prompt;
  throw new ApiError("invalid_value", `Invalid 'prompt': ${bad} is no token of this model.`, { param: "prompt" });
}

/** `n` answers to one prompt: the likeliest of `best_of`. All that were made count. */
function answersTo(prompt: number[], call: CompletionRequest, limits: Limits, tokens: number | undefined) {
  const n = call.n ?? 1;
  const count = Math.max(call.best_of ?? n, n);
  const seed = call.temperature === 0 ? 0 : (call.seed ?? 1);
  const base = hashNumbers(prompt, 0, prompt.length, seed);
  // The best are known by their log-probabilities, whether or not the caller wants to see them.
  const topLogprobs = count > n ? (limits.sampling.topLogprobs ?? 0) : limits.sampling.topLogprobs;
  const made = Array.from({ length: count }, (_, choice) => {
    const index = call.temperature === 0 ? 0 : choice;
    const plan = planContinuation(tokens, limits.tokensMax, index, base);
    return generate(plan, { ...limits, sampling: { ...limits.sampling, topLogprobs } });
  });
  const kept = count > n ? made.toSorted((a, b) => likelihood(b) - likelihood(a)).slice(0, n) : made;
  return { kept, tokens: made.reduce((sum, each) => sum + each.completionTokens, 0) };
}

function planContinuation(tokens: number | undefined, tokensMax: number, index: number, base: number): Plan {
  const random = createRandom(base + index);
  const written = writeContinuation(tokens ?? 24 + random.below(48), index, random);
  const text =
    tokens === undefined
      ? written
      : encode(written)
          .slice(0, Math.min(tokens, tokensMax + 1))
          .map(decode)
          .join("");
  return { reasoning: "", text, calls: [], finish: "stop", constrained: false };
}

/** Mean log-probability of a token. */
function likelihood({ content }: Generation): number {
  return content.reduce((sum, token) => sum + (token.logprob?.logprob ?? 0), 0) / Math.max(1, content.length);
}

function echoOf(prompt: number[], sampling: Sampling): Token[] {
  // What was given is not sampled: biases have no say in it.
  return sampleTokens(prompt, { ...sampling, bias: new Map(), frequencyPenalty: 0, presencePenalty: 0 });
}

interface ChoiceText {
  echoed: Token[];
  generation: Generation;
}

function answerOf(
  call: CompletionRequest,
  model: string,
  texts: ChoiceText[],
  usage: ReturnType<typeof usageOf>,
): Omit<Answer, "wantsUsage"> {
  const head = { id: newId("cmpl-"), created: unixSeconds(), model };

  function* events(): Generator<string> {
    const includeUsage = call.stream_options?.include_usage ?? false;
    const chunks = createCompletionChunks({ ...head, systemFingerprint: FINGERPRINT, includeUsage });
    yield* choicesInStep(texts.map((each, index) => eventsOf(chunks, index, each, call.logprobs)));
    if (includeUsage) yield chunks.usage(usage);
  }

  function whole(): object {
    const choices = texts.map(({ echoed, generation }, index): CompletionChoice => {
      const tokens = [...echoed, ...generation.content];
      const logprobs = logprobsOf(tokens, call.logprobs, { first: echoed.length > 0, offset: 0 });
      return { text: joined(tokens), index, logprobs, finish_reason: finishOf(generation) };
    });
    return {
      id: head.id,
      object: "text_completion",
      created: head.created,
      model,
      choices,
      usage,
      system_fingerprint: FINGERPRINT,
    };
  }

  const steps = Math.max(...texts.map(({ echoed, generation }) => piecesOf(echoed, generation).length));
  return { stream: call.stream ?? false, steps, events, whole, finish: texts[0]!.generation.finish, usage };
}

const joined = (tokens: Token[]) => tokens.map((token) => token.text).join("");
const finishOf = ({ finish }: Generation) => (finish === "length" ? "length" : "stop");

/** What the chunks of a stream hold: what is echoed in one, then token by token; at least one, for the reason to ride on. */
function piecesOf(echoed: Token[], { content }: Generation): Token[][] {
  const pieces = content.map((token) => [token]);
  return echoed.length > 0 || pieces.length === 0 ? [echoed, ...pieces] : pieces;
}

function* eventsOf(
  chunks: ReturnType<typeof createCompletionChunks>,
  index: number,
  { echoed, generation }: ChoiceText,
  wanted: number | undefined,
): Generator<string> {
  const pieces = piecesOf(echoed, generation);
  let offset = 0;
  for (const [at, tokens] of pieces.entries()) {
    const text = joined(tokens);
    const logprobs = logprobsOf(tokens, wanted, { first: at === 0 && echoed.length > 0, offset });
    const finish_reason = at === pieces.length - 1 ? finishOf(generation) : null;
    yield chunks.text({ text, index, logprobs, finish_reason });
    offset += charactersOf(text);
  }
}

/** @param place `first`: the first token has nothing before it, so no probability; `offset`: characters before */
function logprobsOf(
  tokens: Token[],
  wanted: number | undefined,
  place: { first: boolean; offset: number },
): CompletionLogprobs | null {
  if (wanted === undefined) return null;
  const logprobs: CompletionLogprobs = {
    tokens: [],
    token_logprobs: [],
    top_logprobs: [],
    text_offset: [],
  };
  let { offset } = place;
  for (const [at, { text, logprob }] of tokens.entries()) {
    const isFirst = place.first && at === 0;
    logprobs.tokens.push(text);
    logprobs.token_logprobs.push(isFirst ? null : logprob!.logprob);
    logprobs.top_logprobs?.push(
      isFirst ? null : Object.fromEntries(logprob!.top_logprobs.map((top) => [top.token, top.logprob])),
    );
    logprobs.text_offset.push(offset);
    offset += charactersOf(text);
  }
  return logprobs;
}

/** As Python counts them: most users of this endpoint cut with these offsets there. */
function charactersOf(text: string): number {
  return [...text].length;
}
