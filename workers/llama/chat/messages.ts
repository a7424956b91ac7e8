// Messages as chat templates expect them: five roles become the four that models know, parts become text, arguments
// become objects, and tools that a template knows nothing of become words.

import { type ChatMessage, type FunctionDefinition, textOf } from "@oxbow/contract";
import { writeCalls } from "./call-syntax.ts";
import type { Family } from "./families.ts";

export interface TemplateCall {
  id: string;
  type: "function";
  function: { name: string; arguments: unknown };
}

/** A message as templates read it. */
export interface TemplateMessage {
  role: string;
  content: string | null;
  name?: string;
  reasoning_content?: string;
  tool_calls?: TemplateCall[];
  tool_call_id?: string;
}

/** What a template wants, found out by looking at it and trying it. */
export interface Habits {
  /** It tells the model of the tools; otherwise we do, in a system message. */
  listsTools: boolean;
  /** Arguments as an object rather than as JSON text. */
  objects: boolean;
  /** An assistant message without text has null content rather than an empty one. */
  nulls: boolean;
  /** Tool call ids are nine letters and digits. */
  shortIds: boolean;
}

export function templateMessages(messages: ChatMessage[], habits: Habits): TemplateMessage[] {
  const shortIds = new Map<string, string>();
  const idOf = (id: string) => {
    if (!habits.shortIds || /^[a-zA-Z0-9]{9}$/.test(id)) return id;
    const short = shortIds.get(id) ?? String(shortIds.size).padStart(9, "0");
    shortIds.set(id, short);
    return short;
  };
  const nameOfCall = new Map<string, string>();
  let functionCalls = 0;

  return messages.map((message): TemplateMessage => {
    const content = textOf(message.content);
    switch (message.role) {
      case "developer":
        return { role: "system", content };
      case "assistant": {
        const calls = callsOf(message, `function${functionCalls + 1}`);
        if (message.function_call) functionCalls++;
        for (const { id, name } of calls) nameOfCall.set(id, name);
        return {
          role: "assistant",
          content: content === "" && calls.length > 0 && habits.nulls ? null : content,
          ...(message.reasoning_content ? { reasoning_content: message.reasoning_content } : {}),
          ...(calls.length > 0
            ? {
                tool_calls: calls.map(({ id, name, args }) => ({
                  id: idOf(id),
                  type: "function",
                  function: { name, arguments: habits.objects ? parsed(args) : args },
                })),
              }
            : {}),
        };
      }
      case "tool": {
        const name = nameOfCall.get(message.tool_call_id);
        return { role: "tool", content, tool_call_id: idOf(message.tool_call_id), ...(name ? { name } : {}) };
      }
      case "function":
        return { role: "tool", content, tool_call_id: idOf(`function${functionCalls}`), name: message.name };
      default:
        return { role: message.role, content, ...(message.name ? { name: message.name } : {}) };
    }
  });
}

function callsOf(message: Extract<ChatMessage, { role: "assistant" }>, legacyId: string) {
  const calls = (message.tool_calls ?? []).flatMap((call) =>
    call.type === "function" ? [{ id: call.id, name: call.function.name, args: call.function.arguments }] : [],
  );
  const legacy = message.function_call;
  return legacy ? [...calls, { id: legacyId, name: legacy.name, args: legacy.arguments }] : calls;
}

/** Arguments that are no JSON object, which models do write, stay as they are. */
function parsed(args: string): unknown {
  try {
    const value: unknown = JSON.parse(args === "" ? "{}" : args);
    return typeof value === "object" && value !== null ? value : args;
  } catch {
    return args;
  }
}

/** Tools in OpenAI's shape, without gaps that templates would stumble over. */
export function templateTools(tools: FunctionDefinition[]) {
  return tools.map(({ name, description, parameters }) => ({
    type: "function",
    function: {
      name,
      description: description ?? "",
      parameters: parameters && Object.keys(parameters).length > 0 ? parameters : { type: "object", properties: {} },
    },
  }));
}

const EXAMPLE = { name: "<name>", arguments: "<arguments as JSON>" };

/** Puts the tools into the system message, for templates that do not. */
export function withToolsTold(messages: TemplateMessage[], tools: FunctionDefinition[], family: Family) {
  if (tools.length === 0) return messages;
  const told =
    "You can call functions. These are the functions, one per line, with their parameters as JSON Schema:\n" +
    `${templateTools(tools)
      .map((tool) => JSON.stringify(tool.function))
      .join("\n")}\n` +
    `To call a function, write exactly this and nothing after it:\n${writeCalls(family.calls, [EXAMPLE])}`;
  const [first, ...rest] = messages;
  if (first?.role === "system") return [{ ...first, content: `${first.content}\n\n${told}` }, ...rest];
  return [{ role: "system", content: told }, ...messages];
}

/** Writes calls and their results as text, for templates that know neither. */
export function withCallsAsText(messages: TemplateMessage[], { calls: syntax }: Family): TemplateMessage[] {
  return messages.map((message) => {
    if (message.role === "tool") {
      return { role: "user", content: `<tool_response>\n${message.content}\n</tool_response>` };
    }
    if (!message.tool_calls) return message;
    const { tool_calls: calls, ...rest } = message;
    const text = writeCalls(
      syntax,
      calls.map(({ function: { name, arguments: args } }) => ({ name, arguments: JSON.stringify(args) })),
    );
    return { ...rest, content: joined(message.content, text) };
  });
}

/** Calls that were made at once as calls made one after the other, for templates that know no other. */
export function oneCallEach(messages: TemplateMessage[]): TemplateMessage[] {
  const results = new Map<string | undefined, TemplateMessage>();
  for (const message of messages) if (message.role === "tool") results.set(message.tool_call_id, message);
  return messages.flatMap((message) => {
    if (message.role === "tool") return [];
    return (
      message.tool_calls?.flatMap((call, index) => {
        const alone = { ...message, content: index === 0 ? message.content : "", tool_calls: [call] };
        const result = results.get(call.id);
        return result ? [alone, result] : [alone];
      }) ?? [message]
    );
  });
}

/**
 * One system message, at the front, and no two messages of the same role in a row, for templates that insist on turns.
 *
 * @param system false for templates without a system role: its text goes to the first user message
 */
export function inTurns(messages: TemplateMessage[], system: boolean): TemplateMessage[] {
  const rules = messages.filter(({ role }) => role === "system");
  const turns: TemplateMessage[] = [];
  for (const message of messages) {
    if (message.role === "system") continue;
    const before = turns.at(-1);
    const joins = before?.role === message.role && message.role !== "tool" && !before.tool_calls && !message.tool_calls;
    if (joins) turns[turns.length - 1] = { ...before, content: joined(before.content, message.content) };
    else turns.push(message);
  }
  if (turns[0]?.role !== "user") turns.unshift({ role: "user", content: "" });
  if (rules.length === 0) return turns;
  const text = rules.map(({ content }) => content).join("\n\n");
  if (system) return [{ role: "system", content: text }, ...turns];
  return [{ ...turns[0]!, content: joined(text, turns[0]!.content) }, ...turns.slice(1)];
}

const joined = (a: string | null, b: string | null) => [a, b].filter((text) => text).join("\n\n");
