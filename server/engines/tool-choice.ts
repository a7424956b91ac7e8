// How the caller's choice of a tool is said to an engine that does not know every way of choosing: another way that means
// the same, or a refusal. An engine that ignores the field would break a promise without a word.

import { ApiError } from "@oxbow/contract";

type Json = Record<string, unknown>;

/** `named`: one function by its name; `allowed`: some of the tools. */
export const TOOL_CHOICES = ["none", "auto", "required", "named", "allowed"] as const;
export type ToolChoice = (typeof TOOL_CHOICES)[number];

/**
 * What has to change in the call.
 *
 * @param known what the engine understands; of a word that it does not, another is found
 * @throws ApiError `unsupported_value` when there is none
 */
export function chosen(asked: Json, known: readonly string[]): Json {
  const choice = asked.tool_choice;
  const way = wayOf(choice);
  if (way === null || way === "auto" || known.includes(way) || !Array.isArray(asked.tools)) return {};
  // Without tools there is nothing to call.
  if (way === "none") return { tools: undefined, tool_choice: undefined, parallel_tool_calls: undefined };
  const { mode, names } = wishOf(choice as Json | string, way);
  const tools = names === null ? asked.tools : asked.tools.filter((tool: Json) => names.has(nameOf(tool)));
  if (mode === "auto") return { tools, tool_choice: undefined };
  if (known.includes("required")) return { tools, tool_choice: "required" };
  if (known.includes("named") && tools.length === 1) {
    return { tools, tool_choice: { type: "function", function: { name: nameOf(tools[0]) } } };
  }
  const text = `Unsupported value: 'tool_choice' does not support '${way}' with this model's engine.`;
  throw new ApiError("unsupported_value", text, { param: "tool_choice" });
}

/** Null: nothing was chosen, or something that only an engine can judge. */
function wayOf(choice: unknown): ToolChoice | null {
  if (choice === "none" || choice === "auto" || choice === "required") return choice;
  const type = (choice as Json | null | undefined)?.type;
  if (type === "function") return "named";
  return type === "allowed_tools" ? "allowed" : null;
}

/** @returns `names` null: all of them */
function wishOf(choice: Json | string, way: ToolChoice): { mode: "auto" | "required"; names: Set<unknown> | null } {
  if (typeof choice === "string") return { mode: "required", names: null };
  if (way === "named") return { mode: "required", names: new Set([nameOf(choice)]) };
  const { mode, tools } = (choice.allowed_tools ?? {}) as { mode?: unknown; tools?: unknown };
  const allowed = Array.isArray(tools) ? tools : [];
  return { mode: mode === "required" ? "required" : "auto", names: new Set(allowed.map(nameOf)) };
}

function nameOf(tool: Json): unknown {
  return (tool.function as Json | undefined)?.name;
}
