// POST /chat/completions, the request: its shape, what must hold between its fields, and what the fields come to once
// their old and new spellings are folded together.
// Source: openai-openapi 2.3.0, `CreateChatCompletionRequest`, read 2026-11-21, with limits as the live API has them.

import Type, { type Static, type TSchema } from "typebox";
import { ApiError } from "./errors.ts";
import { createParser } from "./validate.ts";

export const nullable = <S extends TSchema>(schema: S) => Type.Union([schema, Type.Null()]);
/** An optional field inside an object that clients also send as null. */
export const maybe = <S extends TSchema>(schema: S) => Type.Optional(nullable(schema));

export const FunctionName = Type.String({ pattern: "^[a-zA-Z0-9_-]+$", minLength: 1, maxLength: 64 });

const TextPart = Type.Object({ type: Type.Literal("text"), text: Type.String() });
const RefusalPart = Type.Object({ type: Type.Literal("refusal"), refusal: Type.String() });
const ImagePart = Type.Object({
  type: Type.Literal("image_url"),
  image_url: Type.Object({ url: Type.String(), detail: maybe(Type.Enum(["auto", "low", "high", "original"])) }),
});
const AudioPart = Type.Object({
  type: Type.Literal("input_audio"),
  input_audio: Type.Object({ data: Type.String(), format: Type.Enum(["wav", "mp3"]) }),
});
const FilePart = Type.Object({
  type: Type.Literal("file"),
  file: Type.Object({ file_id: maybe(Type.String()), file_data: maybe(Type.String()), filename: maybe(Type.String()) }),
});

const ToolCall = Type.Union([
  Type.Object({
    type: Type.Literal("function"),
    id: Type.String(),
    function: Type.Object({ name: Type.String(), arguments: Type.String() }),
  }),
  Type.Object({
    type: Type.Literal("custom"),
    id: Type.String(),
    custom: Type.Object({ name: Type.String(), input: Type.String() }),
  }),
]);

const Texts = Type.Union([Type.String(), Type.Array(TextPart, { minItems: 1 })]);

const Message = Type.Union([
  Type.Object({ role: Type.Enum(["developer", "system"]), content: Texts, name: maybe(Type.String()) }),
  Type.Object({
    role: Type.Literal("user"),
    content: Type.Union([
      Type.String(),
      Type.Array(Type.Union([TextPart, ImagePart, AudioPart, FilePart]), { minItems: 1 }),
    ]),
    name: maybe(Type.String()),
  }),
  Type.Object({
    role: Type.Literal("assistant"),
    content: maybe(Type.Union([Type.String(), Type.Array(Type.Union([TextPart, RefusalPart]))])),
    refusal: maybe(Type.String()),
    name: maybe(Type.String()),
    tool_calls: maybe(Type.Array(ToolCall)),
    function_call: maybe(Type.Object({ name: Type.String(), arguments: Type.String() })),
    /** Not OpenAI's: the reasoning text of an earlier answer, as we and most engines send it. */
    reasoning_content: maybe(Type.String()),
  }),
  Type.Object({ role: Type.Literal("tool"), content: Texts, tool_call_id: Type.String() }),
  Type.Object({ role: Type.Literal("function"), content: nullable(Type.String()), name: Type.String() }),
]);

export const Parameters = Type.Record(Type.String(), Type.Unknown());

const FunctionDefinition = Type.Object({
  name: FunctionName,
  description: maybe(Type.String()),
  parameters: maybe(Parameters),
  strict: maybe(Type.Boolean()),
});

const Tool = Type.Union([
  Type.Object({ type: Type.Literal("function"), function: FunctionDefinition }),
  Type.Object({
    type: Type.Literal("custom"),
    custom: Type.Object({ name: FunctionName, description: maybe(Type.String()), format: maybe(Parameters) }),
  }),
]);

const NamedTool = Type.Object({ type: Type.Literal("function"), function: Type.Object({ name: Type.String() }) });

const ToolChoice = Type.Union([
  Type.Enum(["none", "auto", "required"]),
  NamedTool,
  Type.Object({ type: Type.Literal("custom"), custom: Type.Object({ name: Type.String() }) }),
  Type.Object({
    type: Type.Literal("allowed_tools"),
    allowed_tools: Type.Object({
      mode: Type.Enum(["auto", "required"]),
      tools: Type.Array(Type.Record(Type.String(), Type.Unknown()), { minItems: 1 }),
    }),
  }),
]);

const ResponseFormat = Type.Union([
  Type.Object({ type: Type.Literal("text") }),
  Type.Object({ type: Type.Literal("json_object") }),
  Type.Object({
    type: Type.Literal("json_schema"),
    json_schema: Type.Object({
      name: FunctionName,
      description: maybe(Type.String()),
      schema: maybe(Parameters),
      strict: maybe(Type.Boolean()),
    }),
  }),
]);

export const StreamOptions = Type.Object({
  include_usage: maybe(Type.Boolean()),
  include_obfuscation: maybe(Type.Boolean()),
});
export const Stop = Type.Union([Type.String(), Type.Array(Type.String(), { maxItems: 4 })]);
export const LogitBias = Type.Record(Type.String(), Type.Number({ minimum: -100, maximum: 100 }));
export const penalty = () => Type.Number({ minimum: -2, maximum: 2 });
const Metadata = Type.Record(Type.String({ pattern: "^[\\s\\S]{0,64}$" }), Type.String({ maxLength: 512 }), {
  maxProperties: 16,
  additionalProperties: false,
  nameLengthMax: 64,
});
/** OpenAI takes any 64-bit integer; JSON in JavaScript carries 53 of them exactly, and a seed need not be exact. */
export const Seed = Type.Integer();

/** Whose call it is, and what of it may be kept: the same in both forms of a request. */
export const KeepingFields = {
  store: Type.Optional(Type.Boolean()),
  metadata: Type.Optional(Metadata),
  user: Type.Optional(Type.String()),
  safety_identifier: Type.Optional(Type.String({ maxLength: 64 })),
  prompt_cache_key: Type.Optional(Type.String()),
  prompt_cache_retention: Type.Optional(Type.Enum(["in_memory", "in-memory", "24h"])),
  prompt_cache_options: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
};

export const ChatRequest = Type.Object({
  model: Type.String({ minLength: 1 }),
  messages: Type.Array(Message, { minItems: 1 }),
  max_completion_tokens: Type.Optional(Type.Integer({ minimum: 1 })),
  max_tokens: Type.Optional(Type.Integer({ minimum: 1 })),
  temperature: Type.Optional(Type.Number({ minimum: 0, maximum: 2 })),
  top_p: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
  frequency_penalty: Type.Optional(penalty()),
  presence_penalty: Type.Optional(penalty()),
  logit_bias: Type.Optional(LogitBias),
  logprobs: Type.Optional(Type.Boolean()),
  top_logprobs: Type.Optional(Type.Integer({ minimum: 0, maximum: 20 })),
  n: Type.Optional(Type.Integer({ minimum: 1, maximum: 128 })),
  seed: Type.Optional(Seed),
  stop: Type.Optional(Stop),
  stream: Type.Optional(Type.Boolean()),
  stream_options: Type.Optional(StreamOptions),
  tools: Type.Optional(Type.Array(Tool, { minItems: 1, maxItems: 128 })),
  tool_choice: Type.Optional(ToolChoice),
  parallel_tool_calls: Type.Optional(Type.Boolean()),
  functions: Type.Optional(Type.Array(FunctionDefinition, { minItems: 1, maxItems: 128 })),
  function_call: Type.Optional(Type.Union([Type.Enum(["none", "auto"]), Type.Object({ name: Type.String() })])),
  response_format: Type.Optional(ResponseFormat),
  reasoning_effort: Type.Optional(Type.Enum(["none", "minimal", "low", "medium", "high", "xhigh", "max"])),
  verbosity: Type.Optional(Type.Enum(["low", "medium", "high"])),
  modalities: Type.Optional(Type.Array(Type.Enum(["text", "audio"]), { minItems: 1 })),
  audio: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  prediction: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  web_search_options: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  moderation: Type.Optional(Type.Unknown()),
  service_tier: Type.Optional(Type.Enum(["auto", "default", "flex", "scale", "priority", "fast"])),
  ...KeepingFields,
});
export type ChatRequest = Static<typeof ChatRequest>;
export type ChatMessage = Static<typeof Message>;
export type FunctionDefinition = Static<typeof FunctionDefinition>;
export type ResponseFormat = Static<typeof ResponseFormat>;

const parseShape = createParser(ChatRequest);

/**
 * @param body a JSON object; fields we do not know are ignored, as gateways' users send many
 * @throws ApiError naming the first bad field
 */
export function parseChatRequest(body: Record<string, unknown>): ChatRequest {
  const call = parseShape(body);
  refuseContradictions(call);
  refuseOddParameters(call);
  refuseOrphanToolMessages(call.messages);
  return call;
}

function refuseContradictions(call: ChatRequest): void {
  if (call.stream_options && !call.stream) {
    throw contradiction("The 'stream_options' parameter is only allowed when 'stream' is enabled.", "stream_options");
  }
  if (call.top_logprobs !== undefined && !call.logprobs) {
    throw contradiction("The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", "top_logprobs");
  }
  if (call.max_tokens !== undefined && call.max_completion_tokens !== undefined) {
    throw contradiction("Set 'max_tokens' or 'max_completion_tokens', not both.", "max_tokens");
  }
  if (call.functions && call.tools) {
    throw contradiction("Set 'tools' or the older 'functions', not both.", "functions");
  }
  if (call.function_call !== undefined && !call.functions) {
    throw contradiction("'function_call' is only allowed when 'functions' are specified.", "function_call");
  }
  if (call.tool_choice !== undefined && !call.tools) {
    throw contradiction("'tool_choice' is only allowed when 'tools' are specified.", "tool_choice");
  }
  for (const name of chosenNames(call)) {
    const known = call.functions ?? call.tools?.map((tool) => (tool.type === "function" ? tool.function : tool.custom));
    if (known?.some((tool) => tool.name === name)) continue;
    const param = call.functions ? "function_call" : "tool_choice";
    throw contradiction(
      `'${param}' names '${name.slice(0, 64)}', which is not among the ${call.functions ? "functions" : "tools"}.`,
      param,
    );
  }
}

function contradiction(text: string, param: string): ApiError {
  return new ApiError("invalid_combination", text, { param });
}

/** Arguments are an object, so a schema for anything else means nothing. */
function refuseOddParameters(call: ChatRequest): void {
  if (!call.functions && !call.tools) return;
  const functions =
    call.functions ?? call.tools?.map((tool) => (tool.type === "function" ? tool.function : null)) ?? [];
  for (const [index, each] of functions.entries()) {
    const type = each?.parameters?.type;
    if (type === undefined || type === "object") continue;
    const param = call.functions ? `functions[${index}].parameters` : `tools[${index}].function.parameters`;
    const text = `Invalid schema for function '${each!.name}': schema must be a JSON Schema of 'type: "object"'.`;
    throw new ApiError("invalid_function_parameters", text, { param });
  }
}

/** The tools that `tool_choice` or `function_call` names. */
function chosenNames(call: ChatRequest): string[] {
  const choice = call.tool_choice;
  if (typeof call.function_call === "object") return [call.function_call.name];
  if (typeof choice !== "object") return [];
  if (choice.type === "function") return [choice.function.name];
  if (choice.type === "custom") return [choice.custom.name];
  return choice.allowed_tools.tools.map((tool) => nameOfTool(tool));
}

function nameOfTool(tool: Record<string, unknown>): string {
  const inner = (tool.function ?? tool.custom) as { name?: unknown } | undefined;
  return typeof inner?.name === "string" ? inner.name : "";
}

/** A tool's result needs the call it answers, and a call needs its results before anybody else speaks. */
function refuseOrphanToolMessages(messages: ChatMessage[]): void {
  // In most calls there are no tools.
  if (!messages.some(isAboutTools)) return;
  let open = new Set<string>();
  let answered = new Set<string>();
  for (const [index, message] of messages.entries()) {
    if (message.role === "tool") {
      if (!open.has(message.tool_call_id) && !answered.has(message.tool_call_id)) {
        throw outOfOrder(
          index,
          "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
        );
      }
      open.delete(message.tool_call_id);
      answered.add(message.tool_call_id);
      continue;
    }
    if (open.size > 0) throw outOfOrder(index, unansweredText(open));
    if (message.role === "assistant" && message.tool_calls) {
      open = new Set(message.tool_calls.map((call) => call.id));
      answered = new Set();
    }
  }
  if (open.size > 0) throw outOfOrder(messages.length - 1, unansweredText(open));
}

function isAboutTools(message: ChatMessage): boolean {
  return message.role === "tool" || (message.role === "assistant" && message.tool_calls !== undefined);
}

function outOfOrder(index: number, text: string): ApiError {
  return contradiction(text, `messages.[${index}].role`);
}

function unansweredText(open: Set<string>): string {
  const ids = [...open].map((id) => id.slice(0, 64)).join(", ");
  return `An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: ${ids}`;
}

/** What an answer may hold at most, in tokens; undefined when the caller leaves it to the model. */
export function maxTokensOf(call: ChatRequest): number | undefined {
  return call.max_completion_tokens ?? call.max_tokens;
}

export interface ToolPolicy {
  /** The tools the model may call: after `allowed_tools`, empty when there are none. */
  tools: FunctionDefinition[];
  mode: "none" | "auto" | "required";
  /** The one tool that must be called, when one was named. The finish reason is then `stop`. */
  named: string | null;
  parallel: boolean;
  /** True for `functions`: the answer carries `function_call` instead of `tool_calls`. */
  legacy: boolean;
}

/** One policy out of tools, tool_choice, parallel_tool_calls and their older spellings. */
export function toolPolicyOf(call: ChatRequest): ToolPolicy {
  if (call.functions) {
    const choice = call.function_call ?? "auto";
    const named = typeof choice === "object" ? choice.name : null;
    const mode = named !== null ? "required" : (choice as "none" | "auto");
    return { tools: call.functions, mode, named, parallel: false, legacy: true };
  }
  const all = (call.tools ?? []).flatMap((tool) => (tool.type === "function" ? [tool.function] : []));
  const parallel = call.parallel_tool_calls ?? true;
  const choice = call.tool_choice ?? "auto";
  if (typeof choice === "string") {
    return { tools: all, mode: all.length === 0 ? "none" : choice, named: null, parallel, legacy: false };
  }
  if (choice.type === "allowed_tools") {
    const allowed = new Set(choice.allowed_tools.tools.map(nameOfTool));
    const tools = all.filter((tool) => allowed.has(tool.name));
    return { tools, mode: choice.allowed_tools.mode, named: null, parallel, legacy: false };
  }
  const named = choice.type === "function" ? choice.function.name : choice.custom.name;
  return { tools: all, mode: "required", named, parallel: false, legacy: false };
}

/** A message's text: a string, the text parts joined, or empty. */
export function textOf(content: ChatMessage["content"]): string {
  if (typeof content === "string") return content;
  if (!content) return "";
  return content
    .map((part) => (part.type === "text" ? part.text : part.type === "refusal" ? part.refusal : ""))
    .join("");
}
