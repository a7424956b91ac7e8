// POST /responses, the request: its shape, and what of it cannot be had here, because nothing is stored between calls and
// only the caller's own functions are tools.
// Source: openai-openapi 2.3.0, `CreateResponse`, read 2026-11-21.

import Type, { type Static } from "typebox";
import { FunctionName, KeepingFields, maybe, Parameters, penalty } from "./chat.ts";
import { ApiError } from "./errors.ts";
import { type InputItem, itemsOf } from "./responses-input.ts";
import { createParser } from "./validate.ts";

const FunctionTool = Type.Object({
  type: Type.Literal("function"),
  name: FunctionName,
  description: maybe(Type.String()),
  parameters: maybe(Parameters),
  strict: maybe(Type.Boolean()),
});

const ToolChoice = Type.Union([
  Type.Enum(["none", "auto", "required"]),
  Type.Object({ type: Type.Literal("function"), name: Type.String() }),
  Type.Object({
    type: Type.Literal("allowed_tools"),
    mode: Type.Enum(["auto", "required"]),
    tools: Type.Array(Type.Object({ type: Type.Literal("function"), name: Type.String() }), { minItems: 1 }),
  }),
]);

const TextFormat = Type.Union([
  Type.Object({ type: Type.Literal("text") }),
  Type.Object({ type: Type.Literal("json_object") }),
  Type.Object({
    type: Type.Literal("json_schema"),
    name: FunctionName,
    description: maybe(Type.String()),
    schema: Parameters,
    strict: maybe(Type.Boolean()),
  }),
]);

const Summary = Type.Enum(["auto", "concise", "detailed"]);

export const LOGPROBS = "message.output_text.logprobs";

const Include = Type.Enum([
  LOGPROBS,
  // Items carry their reasoning in plain text, so that the next call can have it without this.
  "reasoning.encrypted_content",
  // What follows is about items that cannot occur here.
  "file_search_call.results",
  "web_search_call.results",
  "web_search_call.action.sources",
  "message.input_image.image_url",
  "computer_call_output.output.image_url",
  "code_interpreter_call.outputs",
]);

export const ResponsesRequest = Type.Object({
  model: Type.String({ minLength: 1 }),
  input: Type.Union([Type.String(), Type.Array(Type.Record(Type.String(), Type.Unknown()), { minItems: 1 })]),
  instructions: Type.Optional(Type.String()),
  max_output_tokens: Type.Optional(Type.Integer({ minimum: 16 })),
  temperature: Type.Optional(Type.Number({ minimum: 0, maximum: 2 })),
  top_p: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
  /** These two are not in OpenAI's request, but in its answer, and OpenResponses has them in both. */
  presence_penalty: Type.Optional(penalty()),
  frequency_penalty: Type.Optional(penalty()),
  top_logprobs: Type.Optional(Type.Integer({ minimum: 0, maximum: 20 })),
  include: Type.Optional(Type.Array(Include)),
  tools: Type.Optional(Type.Array(FunctionTool, { maxItems: 128 })),
  tool_choice: Type.Optional(ToolChoice),
  parallel_tool_calls: Type.Optional(Type.Boolean()),
  text: Type.Optional(
    Type.Object({ format: maybe(TextFormat), verbosity: maybe(Type.Enum(["low", "medium", "high"])) }),
  ),
  reasoning: Type.Optional(
    Type.Object({
      effort: maybe(Type.Enum(["none", "minimal", "low", "medium", "high", "xhigh", "max"])),
      summary: maybe(Summary),
      /** The older name of `summary`. */
      generate_summary: maybe(Summary),
      context: maybe(Type.Enum(["auto", "current_turn", "all_turns"])),
      mode: maybe(Type.String()),
    }),
  ),
  truncation: Type.Optional(Type.Enum(["auto", "disabled"])),
  stream: Type.Optional(Type.Boolean()),
  stream_options: Type.Optional(Type.Object({ include_obfuscation: maybe(Type.Boolean()) })),
  service_tier: Type.Optional(Type.Enum(["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"])),
  ...KeepingFields,
});
export type ResponsesRequest = Static<typeof ResponsesRequest>;
export type TextFormat = Static<typeof TextFormat>;

/** A request whose input has been taken apart. */
export type ResponsesCall = Omit<ResponsesRequest, "input"> & { input: InputItem[] };

const parseShape = createParser(ResponsesRequest);

/**
 * @param body a JSON object; fields we do not know are ignored, as gateways' users send many
 * @throws ApiError naming the first bad field, or the first that asks for what is not to be had here
 */
export function parseResponsesRequest(body: Record<string, unknown>): ResponsesCall {
  refuseState(body);
  refuseHostedTools(body.tools);
  const request = parseShape(body);
  refuseValues(request);
  refuseContradictions(request);
  return { ...request, input: itemsOf(request.input) };
}

/** How the reasoning text is asked for: as it is, or in the place where clients look for a summary of it. */
export function wantsSummary({ reasoning }: Pick<ResponsesRequest, "reasoning">): boolean {
  return Boolean(reasoning?.summary ?? reasoning?.generate_summary);
}

const NOTHING_STORED = "nothing is stored between calls";

/** Fields that ask for something to be kept or run for the caller; each with the reason. */
const REFUSED: Record<string, string> = {
  background: NOTHING_STORED,
  conversation: NOTHING_STORED,
  prompt: NOTHING_STORED,
  context_management: "the input is never shortened",
  max_tool_calls: "no tools are run here, and calls of functions are for the caller to run",
  moderation: "nothing is moderated here",
};

function refuseState(body: Record<string, unknown>): void {
  const { previous_response_id: previous } = body;
  if (typeof previous === "string") {
    const text = `Previous response with id '${previous.slice(0, 64)}' not found. Nothing is stored here: send the whole conversation as 'input'.`;
    throw new ApiError("previous_response_not_found", text, { param: "previous_response_id" });
  }
  for (const [param, why] of Object.entries(REFUSED)) {
    const value = body[param];
    if (value === undefined || value === null || value === false) continue;
    throw new ApiError("unsupported_parameter", `Unsupported parameter: '${param}' is not supported: ${why}.`, {
      param,
    });
  }
}

function refuseHostedTools(tools: unknown): void {
  if (!Array.isArray(tools)) return;
  for (const [index, tool] of tools.entries()) {
    const type = (tool as { type?: unknown } | null)?.type;
    if (typeof type !== "string" || type === "function") continue;
    throw unsupportedValue(`tools[${index}].type`, type, "only tools of type 'function' can be called");
  }
}

function refuseValues({ truncation, reasoning }: ResponsesRequest): void {
  if (truncation === "auto") throw unsupportedValue("truncation", truncation, "the input is never shortened");
  for (const param of ["summary", "generate_summary"] as const) {
    // The text itself is its most detailed summary; a short one somebody would have to write.
    if (reasoning?.[param] === "concise")
      throw unsupportedValue(`reasoning.${param}`, "concise", "ask for 'auto' or 'detailed'");
  }
  const { context, mode } = reasoning ?? {};
  if (context && context !== "auto")
    throw unsupportedValue("reasoning.context", context, "the model's template decides");
  if (mode && mode !== "standard") throw unsupportedValue("reasoning.mode", mode, "there is only 'standard'");
}

function unsupportedValue(param: string, value: string, why: string): ApiError {
  const text = `Unsupported value: '${param}' does not support '${value.slice(0, 64)}': ${why}.`;
  return new ApiError("unsupported_value", text, { param });
}

function refuseContradictions(call: ResponsesRequest): void {
  if (call.stream_options && !call.stream) {
    const text = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
    throw new ApiError("invalid_combination", text, { param: "stream_options" });
  }
  if (call.top_logprobs && !call.include?.includes(LOGPROBS)) {
    const text = `The 'top_logprobs' parameter is only allowed when 'include' holds '${LOGPROBS}'.`;
    throw new ApiError("invalid_combination", text, { param: "top_logprobs" });
  }
}
