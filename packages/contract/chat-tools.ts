// Which tools a call may use, once old and new spellings are folded together.

import type { ChatRequest, FunctionDefinition } from "./chat.ts";

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

/** Of a tool as `allowed_tools` names it; empty where it says none. */
export function nameOfTool(tool: Record<string, unknown>): string {
  const inner = (tool.function ?? tool.custom) as { name?: unknown } | undefined;
  return typeof inner?.name === "string" ? inner.name : "";
}
