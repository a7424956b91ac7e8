// Decides how the answer to a call is constrained (a grammar) and how its text is read (content, reasoning, tool calls).
//
//  tools      response   what the model may write
//  none       text       anything: no grammar
//  none       JSON       JSON of the schema
//  auto       text       text, then calls if it writes the marker that begins them
//  auto       JSON       calls, or JSON of the schema
//  required   any        calls: at least one, exactly one when parallel calls are off or a tool is named
//
// Where the family thinks, reasoning may come first. Arguments are held to the tool's schema in every row.
//
// What a grammar cannot enforce is refused where the caller relies on it: in a response format unless it says
// `strict: false`, in a tool if it says `strict: true`. Elsewhere that keyword alone is left out, as OpenAI's own tools
// without `strict` promise no more, and agents send schemas that they never wrote.

import { ApiError, type ChatRequest, type ToolPolicy, toolPolicyOf } from "@oxbow/contract";
import { ANY_CHAR, type CharSet, charSet, complement, intersect } from "../grammar/charset.ts";
import { alt, createGrammar, type Expr, type Grammar, oneOf, optional, repeat, seq, text } from "../grammar/gbnf.ts";
import { anyObjectExpr, argumentsExpr, schemaExpr } from "../grammar/schema-to-gbnf.ts";
import { callsExpr, textUntil } from "./call-syntax.ts";
import { channelsExpr, createChannelReader } from "./channels.ts";
import type { Family } from "./families.ts";
import type { OutputReader } from "./pieces.ts";
import { createMarkerReader } from "./reader.ts";
import type { ChatTemplate } from "./template.ts";

export type { OutputPiece, OutputReader } from "./pieces.ts";

export interface OutputPlan {
  /** GBNF with the root rule `root`; null when the model may say anything. */
  readonly grammar: string | null;
  /** One per choice: a reader has a state. */
  createReader(): OutputReader;
}

/** @throws ApiError `invalid_schema`, naming the keyword that cannot be enforced; `invalid_value` for a choice of no tool */
export function planOutput(call: ChatRequest, template: ChatTemplate): OutputPlan {
  const { family } = template;
  const policy = toolPolicyOf(call);
  const tools = toolsOf(policy);
  const opened = family.thinking !== null && opensReasoning(call, policy, template);
  const names = tools.map(({ name }) => name);
  return {
    grammar: grammarOf(call, policy, family, opened),
    createReader: () =>
      family.channels
        ? createChannelReader(names)
        : createMarkerReader({
            thinking: family.thinking,
            opened,
            calls: names.length > 0 ? { syntax: family.calls, names } : null,
            onlyCalls: policy.mode === "required",
          }),
  };
}

/** The tools that may be called now. */
function toolsOf({ mode, tools, named }: ToolPolicy): ToolPolicy["tools"] {
  if (mode === "none") return [];
  const callable = named === null ? tools : tools.filter(({ name }) => name === named);
  if (mode === "required" && callable.length === 0) {
    throw new ApiError("invalid_value", "'tool_choice' leaves no function to call.", { param: "tool_choice" });
  }
  return callable;
}

/** Whether the prompt ends in the tag that begins reasoning, so that the model goes on inside of it. */
function opensReasoning(call: ChatRequest, policy: ToolPolicy, template: ChatTemplate): boolean {
  const prompt = template.render(call.messages, {
    tools: policy.mode === "none" ? [] : policy.tools,
    reasoningEffort: call.reasoning_effort,
  });
  return prompt.trimEnd().endsWith(template.family.thinking!.open);
}

function grammarOf(call: ChatRequest, policy: ToolPolicy, family: Family, opened: boolean): string | null {
  const grammar = createGrammar();
  const json = responseExpr(grammar, call);
  const calls = callsOf(grammar, call, policy, family);
  if (!json && !calls) return null;
  const answer = policy.mode === "required" ? null : (json ?? anyText(grammar));
  const root = family.channels
    ? channelsExpr(grammar, calls, answer, answer !== null && !json)
    : markedExpr(grammar, call, family, opened, calls, answer, json !== null);
  const printed = grammar.print(root);
  if (printed === null) {
    const param = json && !calls ? "response_format" : "tools";
    throw new ApiError("invalid_schema", `Invalid schema: no finite value fits '${param}'.`, { param });
  }
  return printed;
}

function responseExpr(grammar: Grammar, call: ChatRequest): Expr | null {
  const format = call.response_format;
  if (!format || format.type === "text") return null;
  if (format.type === "json_object") return anyObjectExpr(grammar);
  const { schema, strict } = format.json_schema;
  if (!schema) return anyObjectExpr(grammar);
  return schemaExpr(grammar, schema, "response_format.json_schema.schema", strict === false);
}

function callsOf(grammar: Grammar, call: ChatRequest, policy: ToolPolicy, family: Family): Expr | null {
  const tools = toolsOf(policy);
  if (tools.length === 0) return null;
  const callable = tools.map((tool) => ({
    name: tool.name,
    arguments: argumentsExpr(grammar, tool, paramOf(call, tool.name)),
  }));
  return grammar.rule("calls", callsExpr(grammar, family.calls, callable, policy.parallel && policy.named === null));
}

/** Where the parameters of a tool stand in the request. */
function paramOf(call: ChatRequest, name: string): string {
  if (call.functions) return `functions[${call.functions.findIndex((one) => one.name === name)}].parameters`;
  const index = call.tools?.findIndex((tool) => tool.type === "function" && tool.function.name === name);
  return `tools[${index}].function.parameters`;
}

function anyText(grammar: Grammar): Expr {
  return grammar.rule("any", repeat(oneOf(ANY_CHAR), 0, Number.POSITIVE_INFINITY));
}

function markedExpr(
  grammar: Grammar,
  call: ChatRequest,
  family: Family,
  opened: boolean,
  calls: Expr | null,
  answer: Expr | null,
  isJson: boolean,
): Expr {
  const goal = grammar.rule("goal", goalExpr(grammar, family, calls, answer, isJson));
  if (!family.thinking) return goal;
  const { open, close } = family.thinking;
  // An answer of free text may also end while it thinks; one that must have a form has to get to it.
  const thinking = textUntil(grammar, close, seq(LAYOUT, goal), answer !== null && !isJson);
  if (opened) return thinking;
  return call.reasoning_effort === "none" ? goal : alt(goal, seq(text(open), thinking));
}

function goalExpr(grammar: Grammar, family: Family, calls: Expr | null, answer: Expr | null, isJson: boolean): Expr {
  if (!calls) return answer!;
  const { begin, onlyFirst } = family.calls;
  const marked = seq(text(begin), calls);
  if (!answer) return marked;
  if (isJson) return alt(marked, answer);
  if (!onlyFirst) return textUntil(grammar, begin, calls, true);
  return alt(marked, plainText(grammar, begin));
}

/** Text that does not begin like a call. */
function plainText(grammar: Grammar, begin: string): Expr {
  const code = begin.codePointAt(0)!;
  const first = intersect(ANY_CHAR, complement(charSet(...SPACES, [code, code])));
  return optional(seq(oneOf(first), anyText(grammar)));
}

const SPACES: CharSet = [
  [0x09, 0x0a],
  [0x0d, 0x0d],
  [0x20, 0x20],
];
/** What models put between the end of their reasoning and the answer. */
const LAYOUT = repeat(oneOf(SPACES), 0, 4);
