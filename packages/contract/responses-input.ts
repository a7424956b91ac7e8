// The input of POST /responses: a text, or items, each parsed by the shape of its type. Items that only a store or a
// hosted tool could have made are refused.
// Source: openai-openapi 2.3.0, `InputItem`, read 2026-11-21.

import Type, { type Static } from "typebox";
import { maybe } from "./chat.ts";
import { ApiError } from "./errors.ts";
import { createParser } from "./validate.ts";

const InputText = Type.Object({ type: Type.Literal("input_text"), text: Type.String() });
const InputImage = Type.Object({
  type: Type.Literal("input_image"),
  image_url: maybe(Type.String()),
  file_id: maybe(Type.String()),
  detail: maybe(Type.Enum(["auto", "low", "high", "original"])),
});
const InputFile = Type.Object({
  type: Type.Literal("input_file"),
  file_id: maybe(Type.String()),
  file_data: maybe(Type.String()),
  file_url: maybe(Type.String()),
  filename: maybe(Type.String()),
});
const OutputText = Type.Object({ type: Type.Literal("output_text"), text: Type.String() });
const Refusal = Type.Object({ type: Type.Literal("refusal"), refusal: Type.String() });

const Texts = Type.Union([Type.String(), Type.Array(InputText, { minItems: 1 })]);

const Message = Type.Union([
  Type.Object({ role: Type.Enum(["developer", "system"]), content: Texts }),
  Type.Object({
    role: Type.Literal("user"),
    content: Type.Union([Type.String(), Type.Array(Type.Union([InputText, InputImage, InputFile]), { minItems: 1 })]),
  }),
  Type.Object({
    role: Type.Literal("assistant"),
    content: Type.Union([Type.String(), Type.Array(Type.Union([OutputText, Refusal, InputText]))]),
  }),
]);

const CallId = Type.String({ minLength: 1 });
const FunctionCall = Type.Object({ call_id: CallId, name: Type.String({ minLength: 1 }), arguments: Type.String() });
const FunctionCallOutput = Type.Object({ call_id: CallId, output: Texts });

const Reasoning = Type.Object({
  summary: Type.Optional(Type.Array(Type.Object({ type: Type.Literal("summary_text"), text: Type.String() }))),
  content: Type.Optional(Type.Array(Type.Object({ type: Type.Literal("reasoning_text"), text: Type.String() }))),
});

export type MessageItem = Static<typeof Message>;
export type UserPart = Exclude<Extract<MessageItem, { role: "user" }>["content"], string>[number];
export type FunctionCallItem = Static<typeof FunctionCall>;
export type FunctionCallOutputItem = Static<typeof FunctionCallOutput>;
export type ReasoningInputItem = Static<typeof Reasoning>;

/** One item, and where the caller put it: `input[2]`, or `input` when that is a text. */
export type InputItem = { path: string } & (
  | { kind: "message"; item: MessageItem }
  | { kind: "function_call"; item: FunctionCallItem }
  | { kind: "function_call_output"; item: FunctionCallOutputItem }
  | { kind: "reasoning"; item: ReasoningInputItem }
);

const parseMessage = createParser(Message);
const parseFunctionCall = createParser(FunctionCall);
const parseFunctionCallOutput = createParser(FunctionCallOutput);
const parseReasoning = createParser(Reasoning);

/** @throws ApiError naming the first bad field */
export function itemsOf(input: string | Record<string, unknown>[]): InputItem[] {
  if (typeof input === "string") return [{ path: "input", kind: "message", item: { role: "user", content: input } }];
  return input.map((item, index) => itemOf(item, `input[${index}]`));
}

function itemOf(given: Record<string, unknown>, path: string): InputItem {
  const kind = kindOf(given, path);
  switch (kind) {
    case "message": {
      const item = parseMessage(given, path);
      if (item.role === "user") refuseReferences(item.content, path);
      return { path, kind, item };
    }
    case "function_call":
      return { path, kind, item: parseFunctionCall(given, path) };
    case "function_call_output":
      return { path, kind, item: parseFunctionCallOutput(given, path) };
    case "reasoning":
      return { path, kind, item: parseReasoning(given, path) };
    case "item_reference": {
      const id = String(given.id).slice(0, 64);
      const text = `Item with id '${id}' not found. Nothing is stored here: send the item itself, or have your SDK do so with 'store' set to false.`;
      throw new ApiError("object_not_found", text, { param: "input" });
    }
    default: {
      const text = `Unsupported value: '${path}.type' does not support '${kind.slice(0, 64)}'. Supported values are: 'message', 'function_call', 'function_call_output' and 'reasoning'.`;
      throw new ApiError("unsupported_value", text, { param: `${path}.type` });
    }
  }
}

/** Messages and references may come without a type. */
function kindOf(given: Record<string, unknown>, path: string): string {
  const { type } = given;
  if (typeof type === "string") return type;
  if (type !== undefined && type !== null) {
    throw new ApiError("invalid_type", `Invalid type for '${path}.type': expected a string.`, {
      param: `${path}.type`,
    });
  }
  return "id" in given && !("role" in given) ? "item_reference" : "message";
}

/** Files that were uploaded, or that somebody else holds: there are none here, and nothing is fetched. */
function refuseReferences(content: string | UserPart[], path: string): void {
  if (typeof content === "string") return;
  for (const [index, part] of content.entries()) {
    const at = `${path}.content[${index}]`;
    const field = ["file_id", "file_url"].find((name) => (part as Record<string, unknown>)[name] != null);
    if (field !== undefined) {
      const text = `Unsupported parameter: '${at}.${field}' is not supported: send the data itself.`;
      throw new ApiError("unsupported_parameter", text, { param: `${at}.${field}` });
    }
    if (part.type === "input_image" && part.image_url == null) {
      const param = `${at}.image_url`;
      throw new ApiError("missing_required_parameter", `Missing required parameter: '${param}'.`, { param });
    }
  }
}
