// POST /v1/chat/completions: messages become a prompt, each choice becomes a sequence, its tokens become an answer.

import {
  type AnswerMessage,
  type AnswerToolCall,
  ApiError,
  type ChatChoice,
  type ChatCompletion,
  type ChatRequest,
  createChatChunks,
  type FinishReason,
  maxTokensOf,
  needsOfChat,
  newId,
  newToolCallId,
  parseChatRequest,
  refuseNeeds,
  type TokenLogprob,
  type ToolPolicy,
  toolPolicyOf,
  type Usage,
  unixSeconds,
  usageOf,
} from "@oxbow/contract";
import { refuseOtherModels } from "@oxbow/worker";
import { type Answer, type AnswerEvent, createAnswer } from "./answer.ts";
import { type OutputPlan, planOutput } from "./chat/output.ts";
import { type Host, LLAMA_FEATURES, refuseHuge, refuseTooLong, runChoices } from "./host.ts";
import type { Outcome } from "./job.ts";
import type { Grammar, Native, SamplerSettings } from "./native.ts";
import { samplingOf } from "./sampling.ts";
import { streamResponse } from "./stream.ts";

/** A call, made ready: nothing about it can be refused any more. */
interface Plan {
  call: ChatRequest;
  policy: ToolPolicy;
  output: OutputPlan;
  prompt: Uint32Array;
  grammar: Grammar | null;
  samplingOf: (choice: number, grammar: Grammar | null) => SamplerSettings;
  stops: string[];
  maxTokens: number;
  choices: number;
}

/** @throws ApiError for everything that can be known before the first token */
export async function chat(body: Record<string, unknown>, request: Request, host: Host): Promise<Response> {
  const plan = planChat(body, host);
  host.scheduler.refuseWhenFull();
  const id = newId("chatcmpl-");
  const created = unixSeconds();
  return plan.call.stream
    ? await streamChat(plan, id, created, request, host)
    : Response.json(await wholeChat(plan, id, created, request.signal, host));
}

/** @throws ApiError for what is no call, and for a prompt that is far too long to be counted */
export function countChat(body: Record<string, unknown>, host: Host): number {
  const call = readCall(body, host);
  return promptOf(call, toolPolicyOf(call), host).length;
}

function readCall(body: Record<string, unknown>, host: Host): ChatRequest {
  const call = parseChatRequest(body);
  refuseOtherModels(host.model, call.model);
  refuseNeeds(needsOfChat(call), LLAMA_FEATURES, call.model);
  return call;
}

function promptOf(call: ChatRequest, policy: ToolPolicy, { loaded }: Host): Uint32Array {
  const guard = loaded.guard(call.messages);
  const text = loaded.template.render(guard.messages, {
    tools: policy.mode === "none" ? [] : policy.tools,
    reasoningEffort: call.reasoning_effort,
  });
  refuseHuge(text, loaded, "messages");
  return Uint32Array.from(loaded.vocabulary.tokenizeChat(text, guard.restore));
}

function planChat(body: Record<string, unknown>, host: Host): Plan {
  const call = readCall(body, host);
  const { loaded } = host;
  const { vocabulary, template, contextTokens } = loaded;
  const policy = toolPolicyOf(call);
  const output = planOutput(call, template);
  const prompt = promptOf(call, policy, host);
  refuseTooLong(prompt.length, contextTokens, "messages");
  return {
    call,
    policy,
    output,
    prompt,
    grammar: output.grammar === null ? null : compileGrammar(loaded.native, output.grammar, call),
    samplingOf: samplingOf(call, vocabulary, contextTokens, host.randomSeed),
    stops: typeof call.stop === "string" ? [call.stop] : (call.stop ?? []),
    maxTokens: maxTokensOf(call) ?? contextTokens,
    choices: call.n ?? 1,
  };
}

/**
 * @throws ApiError `invalid_schema` for what the engine cannot take. It is asked only when it can: its own refusal prints the
 *   grammar, which holds the caller's words, into the log.
 */
function compileGrammar(native: Native, text: string, call: ChatRequest): Grammar {
  const param = call.response_format && call.response_format.type !== "text" ? "response_format" : "tools";
  const tooLarge = (cause?: unknown) =>
    new ApiError("invalid_schema", `Invalid schema: '${param}': it is too large to be enforced.`, { param, cause });
  if (text.split("::=").length - 1 > RULES_MAX) throw tooLarge();
  try {
    return native.createGrammar(text);
  } catch {
    throw tooLarge();
  }
}

/** The engine refuses about 2,000 rules; an object takes two for each optional property. */
const RULES_MAX = 1_500;

/** Generates one choice; its events go to `emit` as they come. */
async function generate(
  plan: Plan,
  choice: number,
  host: Host,
  signal: AbortSignal,
  emit: (event: AnswerEvent) => void,
): Promise<{ outcome: Outcome; answer: Answer; finish: FinishReason }> {
  const { call } = plan;
  const { vocabulary } = host.loaded;
  const answer = createAnswer(vocabulary, plan.output.createReader(), plan.stops, call.logprobs === true, emit);
  const outcome = await host.scheduler.run({
    prompt: plan.prompt,
    maxTokens: plan.maxTokens,
    sampling: plan.samplingOf(choice, plan.grammar),
    logprobs: call.logprobs ? (call.top_logprobs ?? 0) : null,
    scorePrompt: false,
    onToken: answer.push,
    signal,
  });
  answer.end();
  return { outcome, answer, finish: finishOf(plan.policy, outcome, answer) };
}

/** OpenAI's reasons: a tool that was named ends with `stop`, tools the model chose to call with `tool_calls`. */
function finishOf(policy: ToolPolicy, outcome: Outcome, answer: Answer): FinishReason {
  if (outcome.reason === "length") return "length";
  if (answer.calls === 0 || policy.named !== null) return "stop";
  return policy.legacy ? "function_call" : "tool_calls";
}

function usage(plan: Plan, outcomes: Outcome[], answers: Answer[]): Usage {
  const sum = (count: (answer: Answer) => number) => answers.reduce((total, answer) => total + count(answer), 0);
  return usageOf({
    prompt: plan.prompt.length,
    completion: sum((answer) => answer.tokens),
    // Later choices find the prompt in memory because of the first: only that one tells what earlier calls left there.
    cached: outcomes[0]!.cachedTokens,
    reasoning: sum((answer) => answer.reasoningTokens),
  });
}

function streamChat(plan: Plan, id: string, created: number, request: Request, host: Host): Promise<Response> {
  const { call, policy, choices } = plan;
  const includeUsage = call.stream_options?.include_usage === true;
  const chunks = createChatChunks({
    id,
    created,
    model: host.model.id,
    systemFingerprint: host.loaded.fingerprint,
    includeUsage,
    obfuscate: call.stream_options?.include_obfuscation === true,
  });

  return streamResponse(request, host.log, async (send, signal) => {
    const answers: Answer[] = [];
    const outcomes = await runChoices(host, choices, signal, async (index, signal) => {
      let calls = 0;
      const write = (event: AnswerEvent): string => {
        switch (event.kind) {
          case "content":
            return chunks.content(index, event.text, event.logprobs);
          case "reasoning":
            return chunks.reasoning(index, event.text);
          case "call":
            calls++;
            if (policy.legacy) return chunks.functionCallStart(index, event.name);
            return chunks.toolCallStart(index, calls - 1, newToolCallId(), event.name);
          case "arguments":
            if (policy.legacy) return chunks.functionCallArguments(index, event.text);
            return chunks.toolCallArguments(index, calls - 1, event.text);
        }
      };
      const { outcome, answer, finish } = await generate(plan, index, host, signal, (event) => send(write(event)));
      answers[index] = answer;
      send(chunks.finish(index, finish, answer.leftover()));
      return outcome;
    });
    const total = usage(plan, outcomes, answers);
    if (includeUsage) send(chunks.usage(total));
    return total;
  });
}

async function wholeChat(
  plan: Plan,
  id: string,
  created: number,
  signal: AbortSignal,
  host: Host,
): Promise<ChatCompletion> {
  const answers: Answer[] = [];
  const choices: ChatChoice[] = [];
  const outcomes = await runChoices(host, plan.choices, signal, async (index, signal) => {
    const collected = createCollector(plan);
    const { outcome, answer, finish } = await generate(plan, index, host, signal, collected.take);
    answers[index] = answer;
    choices[index] = { index, ...collected.close(answer), finish_reason: finish };
    return outcome;
  });
  return {
    id,
    object: "chat.completion",
    created,
    model: host.model.id,
    choices,
    usage: usage(plan, outcomes, answers),
    service_tier: "default",
    system_fingerprint: host.loaded.fingerprint,
  };
}

/** Puts the events of one choice together to a message. */
function createCollector({ call, policy }: Plan) {
  let content = "";
  let reasoning = "";
  const calls: AnswerToolCall[] = [];
  const logprobs: TokenLogprob[] = [];
  return {
    take(event: AnswerEvent): void {
      if (event.kind === "content") {
        content += event.text;
        logprobs.push(...(event.logprobs ?? []));
      } else if (event.kind === "reasoning") reasoning += event.text;
      else if (event.kind === "arguments") calls.at(-1)!.function.arguments += event.text;
      else calls.push({ id: newToolCallId(), type: "function", function: { name: event.name, arguments: "" } });
    },
    close(answer: Answer): Pick<ChatChoice, "message" | "logprobs"> {
      logprobs.push(...(answer.leftover() ?? []));
      const message: AnswerMessage = {
        role: "assistant",
        content: content === "" && calls.length > 0 ? null : content,
        refusal: null,
        annotations: [],
      };
      if (reasoning !== "") message.reasoning_content = reasoning;
      if (calls.length > 0 && policy.legacy) message.function_call = calls[0]!.function;
      else if (calls.length > 0) message.tool_calls = calls;
      if (!call.logprobs) return { message };
      return { message, logprobs: { content: logprobs, refusal: null } };
    },
  };
}
