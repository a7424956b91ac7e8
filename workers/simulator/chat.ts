// POST /v1/chat/completions.

import {
  type AnswerMessage,
  type ChatChoice,
  type ChatRequest,
  createChatChunks,
  maxTokensOf,
  needsOfChat,
  newId,
  newToolCallId,
  parseChatRequest,
  refuseNeeds,
  type TokenLogprob,
  toolPolicyOf,
  unixSeconds,
  usageOf,
} from "@oxbow/contract";
import { type Ask, choicesInStep, FINGERPRINT, featuresOf, refuseOtherCategory, samplingOf, stopsOf } from "./ask.ts";
import { promptTokens, readConversation } from "./conversation.ts";
import { type Generation, generate } from "./generation.ts";
import { planAnswer } from "./plan.ts";
import { createRandom, hashNumbers } from "./random.ts";
import { respond } from "./respond.ts";

/** @throws ApiError for every refusal; the signal's reason when the caller hangs up */
export async function chat({ body, model, engine, simulation, wantsUsage, signal }: Ask): Promise<Response> {
  const call = parseChatRequest(body);
  refuseOtherCategory(model);
  refuseNeeds(needsOfChat(call), featuresOf(model), model.id);
  const conversation = readConversation(call.messages);
  const prompt = promptTokens(call);
  const tokensMax = maxTokensOf(call);
  const sampling = samplingOf(call, call.logprobs ? (call.top_logprobs ?? 0) : null);
  const job = await engine.admit({ model, prompts: [prompt], tokensMax, body, simulation, signal });

  try {
    const limits = { tokensMax: Math.min(tokensMax ?? job.roomTokens, job.roomTokens), stop: stopsOf(call), sampling };
    const seed = call.temperature === 0 ? 0 : (call.seed ?? 1);
    const base = hashNumbers(prompt, 0, prompt.length, seed);
    const generations = Array.from({ length: call.n ?? 1 }, (_, choice) => {
      const index = call.temperature === 0 ? 0 : choice;
      const reasons = model.capabilities.includes("reasoning");
      const request = { call, conversation, reasons, tokens: simulation.tokens, index };
      return generate(planAnswer(request, createRandom(base + index)), limits);
    });
    const answer = answerOf(call, model.id, generations, job);
    return await respond({ ...answer, wantsUsage }, job, simulation.fault ?? null);
  } catch (error) {
    job.end("error", 0);
    throw error;
  }
}

function answerOf(
  call: ChatRequest,
  model: string,
  generations: Generation[],
  job: { promptTokens: number; cachedTokens: number },
) {
  const sum = (key: "completionTokens" | "reasoningTokens") =>
    generations.reduce((total, each) => total + each[key], 0);
  const usage = usageOf({
    prompt: job.promptTokens,
    completion: sum("completionTokens"),
    cached: job.cachedTokens,
    reasoning: sum("reasoningTokens"),
  });
  const head = { id: newId("chatcmpl-"), created: unixSeconds(), model };
  const legacy = toolPolicyOf(call).legacy;

  function* events(): Generator<string> {
    const includeUsage = call.stream_options?.include_usage ?? false;
    const obfuscate = call.stream_options?.include_obfuscation ?? false;
    const chunks = createChatChunks({ ...head, systemFingerprint: FINGERPRINT, includeUsage, obfuscate });
    yield* choicesInStep(generations.map((each, index) => eventsOf(chunks, index, each, legacy)));
    if (includeUsage) yield chunks.usage(usage);
  }

  function whole(): object {
    return {
      id: head.id,
      object: "chat.completion",
      created: head.created,
      model,
      choices: generations.map((each, index) => choiceOf(index, each, legacy, call.logprobs ?? false)),
      usage,
      service_tier: "default",
      system_fingerprint: FINGERPRINT,
    };
  }

  const steps = Math.max(...generations.map(stepsOf));
  return { stream: call.stream ?? false, steps, events, whole, finish: generations[0]!.finish, usage };
}

/** Events of a choice that take their time: all but its finish. */
function stepsOf({ reasoning, content, calls }: Generation): number {
  return calls.reduce((sum, call) => sum + 1 + call.pieces.length, reasoning.length + content.length);
}

/** One choice's events, token by token: thoughts, text, calls, and the finish. */
function* eventsOf(
  chunks: ReturnType<typeof createChatChunks>,
  index: number,
  { reasoning, content, calls, finish }: Generation,
  legacy: boolean,
): Generator<string> {
  for (const piece of reasoning) yield chunks.reasoning(index, piece);
  for (const { text, logprob } of content) yield chunks.content(index, text, logprob && [logprob]);
  for (const [at, { name, pieces }] of calls.entries()) {
    yield legacy ? chunks.functionCallStart(index, name) : chunks.toolCallStart(index, at, newToolCallId(), name);
    for (const piece of pieces) {
      yield legacy ? chunks.functionCallArguments(index, piece) : chunks.toolCallArguments(index, at, piece);
    }
  }
  yield chunks.finish(index, finish);
}

function choiceOf(index: number, generation: Generation, legacy: boolean, logprobs: boolean): ChatChoice {
  const { content, calls, reasoning, finish } = generation;
  const functions = calls.map(({ name, pieces }) => ({ name, arguments: pieces.join("") }));
  const text = content.map((token) => token.text).join("");
  const message: AnswerMessage = {
    role: "assistant",
    content: calls.length > 0 ? null : text,
    refusal: null,
    annotations: [],
  };
  if (reasoning.length > 0) message.reasoning_content = reasoning.join("");
  if (legacy && functions[0]) message.function_call = functions[0];
  else if (functions.length > 0) {
    message.tool_calls = functions.map((each) => ({ id: newToolCallId(), type: "function", function: each }));
  }
  const choice: ChatChoice = { index, message, finish_reason: finish };
  const entries = content.flatMap((token): TokenLogprob[] => (token.logprob ? [token.logprob] : []));
  return logprobs ? { ...choice, logprobs: { content: calls.length > 0 ? null : entries, refusal: null } } : choice;
}
