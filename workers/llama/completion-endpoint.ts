// POST /v1/completions: each prompt, a text or tokens, is continued as it stands, `n` times.

import {
  ApiError,
  COMPLETION_TOKENS_DEFAULT,
  type Completion,
  type CompletionChoice,
  type CompletionRequest,
  createCompletionChunks,
  needsOfCompletion,
  newId,
  parseCompletionRequest,
  promptsOf,
  refuseNeeds,
  type Usage,
  unixSeconds,
  usageOf,
} from "@oxbow/contract";
import { refuseOtherModels } from "@oxbow/worker";
import { createContinuation, type TextEvent } from "./continuation.ts";
import { type Host, LLAMA_FEATURES, refuseHuge, refuseTooLong, runChoices } from "./host.ts";
import type { LoadedModel } from "./load.ts";
import { samplingOf } from "./sampling.ts";
import { streamResponse } from "./stream.ts";

interface Plan {
  call: CompletionRequest;
  prompts: Uint32Array[];
  /** Choices generated for each prompt, of which `kept` are answered. */
  tried: number;
  kept: number;
  settings: ReturnType<typeof samplingOf>;
  stops: string[];
}

/** A finished choice. */
interface Finished {
  choice: CompletionChoice;
  tokens: number;
  cachedTokens: number;
  /** Mean log-probability of its tokens: what `best_of` goes by. */
  score: number;
}

/** @throws ApiError for everything that can be known before the first token */
export async function complete(body: Record<string, unknown>, request: Request, host: Host): Promise<Response> {
  const plan = planCompletion(body, host);
  host.scheduler.refuseWhenFull();
  const head = {
    id: newId("cmpl-"),
    created: unixSeconds(),
    model: host.model.id,
    systemFingerprint: host.loaded.fingerprint,
    includeUsage: plan.call.stream_options?.include_usage === true,
  };
  if (plan.call.stream) {
    const chunks = createCompletionChunks(head);
    return await streamResponse(request, host.log, async (send, signal) => {
      const finished = await generateAll(plan, host, signal, (choice) => send(chunks.text(choice)));
      const total = usageFor(plan, finished);
      if (head.includeUsage) send(chunks.usage(total));
      return total;
    });
  }
  const finished = await generateAll(plan, host, request.signal, () => {});
  const answer: Completion = {
    id: head.id,
    object: "text_completion",
    created: head.created,
    model: head.model,
    system_fingerprint: head.systemFingerprint,
    choices: bestOf(plan, finished),
    usage: usageFor(plan, finished),
  };
  return Response.json(answer);
}

/** @throws ApiError for what is no call, and for a prompt that is far too long to be counted */
export function countCompletion(body: Record<string, unknown>, host: Host): number {
  const prompts = promptsOf(readCall(body, host)).map((prompt) => tokensOf(prompt, host.loaded));
  return prompts.reduce((sum, { length }) => sum + length, 0);
}

function readCall(body: Record<string, unknown>, host: Host): CompletionRequest {
  const call = parseCompletionRequest(body);
  refuseOtherModels(host.model, call.model);
  refuseNeeds(needsOfCompletion(call), LLAMA_FEATURES, call.model);
  return call;
}

function planCompletion(body: Record<string, unknown>, host: Host): Plan {
  const call = readCall(body, host);
  const { loaded } = host;
  const kept = call.n ?? 1;
  return {
    call,
    prompts: promptsOf(call).map((prompt) => {
      const tokens = tokensOf(prompt, loaded);
      refuseTooLong(tokens.length, loaded.contextTokens, "prompt");
      return tokens;
    }),
    tried: call.best_of || kept,
    kept,
    settings: samplingOf(call, loaded.vocabulary, loaded.contextTokens, host.randomSeed),
    stops: typeof call.stop === "string" ? [call.stop] : (call.stop ?? []),
  };
}

function tokensOf(prompt: string | number[], loaded: LoadedModel): Uint32Array {
  const { vocabulary } = loaded;
  if (typeof prompt === "string") refuseHuge(prompt, loaded, "prompt");
  const tokens = typeof prompt === "string" ? vocabulary.tokenizeText(prompt) : prompt;
  const foreign = tokens.find((token) => token >= vocabulary.size);
  if (foreign !== undefined) {
    const text = `Invalid 'prompt': token ${foreign} is not in this model's vocabulary of ${vocabulary.size} tokens.`;
    throw new ApiError("invalid_value", text, { param: "prompt" });
  }
  // Something must come before the first token, and for an empty prompt that is what begins or ends a text.
  return Uint32Array.from(tokens.length > 0 ? tokens : [vocabulary.start]);
}

/** All choices of all prompts, prompt by prompt. `send` gets each chunk; the last one of a choice has its reason. */
async function generateAll(
  plan: Plan,
  host: Host,
  signal: AbortSignal,
  send: (chunk: CompletionChoice) => void,
): Promise<Finished[]> {
  const { call, tried } = plan;
  const finished: Finished[] = [];
  await runChoices(host, plan.prompts.length * tried, signal, async (index, signal) => {
    const prompt = plan.prompts[Math.floor(index / tried)]!;
    const writer = createChoiceWriter(index, call.logprobs !== undefined, send);
    const text = createContinuation(host.loaded.vocabulary, {
      prompt,
      echo: call.echo === true,
      stops: plan.stops,
      logprobs: call.logprobs ?? null,
      emit: writer.take,
    });
    const outcome = await host.scheduler.run({
      prompt,
      maxTokens: call.max_tokens ?? COMPLETION_TOKENS_DEFAULT,
      sampling: plan.settings(index % tried, null),
      // best_of compares log-probabilities, whether or not the caller wants to see them.
      logprobs: call.logprobs ?? (tried > plan.kept ? 0 : null),
      scorePrompt: call.echo === true && call.logprobs !== undefined,
      onToken: text.push,
      onPrompt: text.prompt,
      signal,
    });
    text.end();
    finished[index] = {
      choice: writer.close(outcome.reason),
      tokens: text.tokens(),
      cachedTokens: outcome.cachedTokens,
      score: text.score(),
    };
    return outcome;
  });
  return finished;
}

/** Sends a choice in chunks, one behind: the last chunk with text carries the reason. Keeps the whole, too. */
function createChoiceWriter(index: number, wantsLogprobs: boolean, send: (chunk: CompletionChoice) => void) {
  let held: TextEvent | null = null;
  const whole = emptyEvent();
  const chunk = (event: TextEvent, reason: CompletionChoice["finish_reason"]): CompletionChoice => ({
    text: event.text,
    index,
    logprobs: wantsLogprobs ? event.logprobs : null,
    finish_reason: reason,
  });
  return {
    take(event: TextEvent): void {
      append(whole, event);
      if (held && event.text === "") append(held, event);
      else {
        if (held) send(chunk(held, null));
        held = event;
      }
    },
    close(reason: "stop" | "length"): CompletionChoice {
      send(chunk(held ?? emptyEvent(), reason));
      return chunk(whole, reason);
    },
  };
}

function append(event: TextEvent, more: TextEvent): void {
  event.text += more.text;
  event.logprobs.tokens.push(...more.logprobs.tokens);
  event.logprobs.token_logprobs.push(...more.logprobs.token_logprobs);
  event.logprobs.text_offset.push(...more.logprobs.text_offset);
  event.logprobs.top_logprobs?.push(...(more.logprobs.top_logprobs ?? []));
}

function emptyEvent(): TextEvent {
  return { text: "", logprobs: { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] } };
}

/** The answered choices: of each prompt the best, by log-probability per token, numbered anew. */
function bestOf({ tried, kept, prompts }: Plan, finished: Finished[]): CompletionChoice[] {
  return prompts.flatMap((_, prompt) => {
    const own = finished.slice(prompt * tried, (prompt + 1) * tried);
    const best = tried === kept ? own : own.sort((a, b) => b.score - a.score).slice(0, kept);
    return best.map(({ choice }, i) => ({ ...choice, index: prompt * kept + i }));
  });
}

/** Every token that was generated counts, also of choices that `best_of` left out. */
function usageFor({ prompts, tried }: Plan, finished: Finished[]): Usage {
  return usageOf({
    prompt: prompts.reduce((sum, prompt) => sum + prompt.length, 0),
    completion: finished.reduce((sum, { tokens }) => sum + tokens, 0),
    cached: prompts.reduce((sum, _, prompt) => sum + finished[prompt * tried]!.cachedTokens, 0),
  });
}
