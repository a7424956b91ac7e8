// POST /chat/completions, the request: its shape. What must hold between its fields is in chat-parse.ts.
// Source: openai-openapi 2.3.0, `CreateChatCompletionRequest`, read 2026-11-21, with limits as the live API has them.

import Type, { type Static, type TSchema } from "typebox";

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
/** OpenAI takes 300 tokens. More are of use (all that are digits), a whole vocabulary in every step is not. */
export const LogitBias = Type.Record(Type.String(), Type.Number({ minimum: -100, maximum: 100 }), {
  maxProperties: 2_048,
});
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

/** What an answer may hold at most, in tokens; undefined when the caller leaves it to the model. */
export function maxTokensOf(call: ChatRequest): number | undefined {
  return call.max_completion_tokens ?? call.max_tokens;
}

/** A message's text: a string, the text parts joined, or empty. */
export function textOf(content: ChatMessage["content"]): string {
  if (typeof content === "string") return content;
  if (!content) return "";
  return content
    .map((part) => (part.type === "text" ? part.text : part.type === "refusal" ? part.refusal : ""))
    .join("");
}
