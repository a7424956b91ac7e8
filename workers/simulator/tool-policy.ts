// Which tools an answer calls, and with which arguments. A model would understand the question; this compares words.

import { ApiError, type FunctionDefinition, type ToolPolicy } from "@oxbow/contract";
import type { Conversation } from "./conversation.ts";
import type { PlannedCall } from "./generation.ts";
import { type Hints, wordsOf } from "./hints.ts";
import type { Random } from "./random.ts";
import type { JsonSchema, Schema } from "./schema.ts";
import { isTextLike, sampleFilled } from "./schema-fill.ts";
import { isSchema } from "./schema-form.ts";

/**
 * Decides in this order:
 *  1. no tools, or `none`: no call;
 *  2. a tool was named: that one; `required`: those that the text speaks of, or else the first;
 *  3. results of tools came in last: no call, they are to be answered;
 *  4. the text speaks of tools (their names, parameters or descriptions), or asks for a call: those;
 *  5. the instructions name a tool and the text names something to give it: that one;
 *  6. otherwise no call.
 *
 * @throws ApiError `invalid_schema` when a tool's parameters cannot be met
 */
export function planCalls(policy: ToolPolicy, conversation: Conversation, hints: Hints, random: Random): PlannedCall[] {
  const { tools, mode, named } = policy;
  if (mode === "none" || tools.length === 0) return []; // 1
  refuseBadSchemas(tools);
  let chosen: FunctionDefinition[];
  if (named !== null)
    chosen = tools.filter((tool) => tool.name === named); // 2
  else {
    const spokenOf = toolsSpokenOf(tools, hints);
    if (mode === "required")
      chosen = spokenOf.length > 0 ? spokenOf : tools.slice(0, 1); // 2
    else if (conversation.results.length > 0)
      return []; // 3
    else if (spokenOf.length > 0)
      chosen = spokenOf; // 4
    else
      chosen =
        hints.subjects.length > 0
          ? tools.filter((tool) => conversation.systemText.includes(tool.name)).slice(0, 1)
          : []; // 5
  }
  const calls =
    chosen.length > 1
      ? callEach(chosen, hints, random)
      : chosen.flatMap((tool) => callForSubjects(tool, hints, random));
  return policy.parallel && !policy.legacy ? calls.slice(0, CALLS_MAX) : calls.slice(0, 1);
}

const CALLS_MAX = 8;

function refuseBadSchemas(tools: FunctionDefinition[]): void {
  const bad = tools.find((tool) => tool.parameters && !isSchema(tool.parameters));
  if (bad) throw unmet(bad, "it is not a JSON schema");
}

function unmet(tool: FunctionDefinition, why: string): ApiError {
  return new ApiError("invalid_schema", `Invalid schema for function '${tool.name}': ${why}.`, { param: "tools" });
}

/** The tools that the text speaks of, in the order in which it does. */
function toolsSpokenOf(tools: FunctionDefinition[], hints: Hints): FunctionDefinition[] {
  const scored = tools
    .map((tool) => scoreOf(tool, hints))
    .filter((each) => each.score > 0)
    .sort((a, b) => b.score - a.score || a.missing - b.missing);
  if (scored.length === 0) return CALL_WORDS.some((word) => hints.words.has(word)) ? tools.slice(0, 1) : [];
  // Further tools only when the text names them with words of their own: "weather and time", but not "weather" for both
  // get_weather and get_weather_history.
  const taken = new Set(scored[0]!.names);
  const chosen = [scored[0]!];
  for (const each of scored.slice(1)) {
    if (!each.names.some((word) => !taken.has(word))) continue;
    for (const word of each.names) taken.add(word);
    chosen.push(each);
  }
  const places = [...hints.words];
  const place = (names: string[]) => Math.min(...names.map((word) => places.indexOf(word)), places.length);
  return chosen.sort((a, b) => place(a.names) - place(b.names)).map((each) => each.tool);
}

const CALL_WORDS = ["call", "use", "invoke"];

function scoreOf(tool: FunctionDefinition, hints: Hints) {
  const shared = (text: string) => [...wordsOf(text)].filter((word) => hints.words.has(word) && !WEAK.has(word));
  const all = [...wordsOf(tool.name)];
  const names = shared(tool.name);
  const parameters = Object.entries((tool.parameters?.properties ?? {}) as Record<string, { description?: unknown }>);
  const parameterWords = parameters.flatMap(([key, schema]) => [
    ...shared(key),
    ...shared(typeof schema?.description === "string" ? schema.description : ""),
  ]);
  const exact = hints.text.includes(tool.name) ? 20 : 0;
  const score = exact + names.length * 5 + shared(tool.description ?? "").length * 2 + parameterWords.length;
  return { tool, names, score, missing: all.length - names.length };
}

/** Words that stand in many descriptions and say nothing about one tool. */
const WEAK = new Set(
  "a about all an and any are as at be by call can current data do for from function get given has have how if in input into is it its list make me my name new now of on one or output parameter please return retrieve set should some text that the their them then there this to tool up use used user using value want what when where which will with you your".split(
    " ",
  ),
);

/** Several tools, one call each; when there are as many subjects, each has its own. */
function callEach(tools: FunctionDefinition[], hints: Hints, random: Random): PlannedCall[] {
  const own = hints.subjects.length === tools.length;
  return tools.map((tool, at) => callOf(tool, own ? { ...hints, subjects: [hints.subjects[at]!] } : hints, random));
}

/** One tool: a call for each subject, or for each group of subjects when it takes several at a time. */
function callForSubjects(tool: FunctionDefinition, all: Hints, random: Random): PlannedCall[] {
  const takes = subjectsTaken(tool.parameters ?? {});
  // "in fahrenheit" chooses a unit and names no place.
  const choices = new Set(
    Object.values((tool.parameters?.properties ?? {}) as Record<string, Schema>).flatMap(choicesOf),
  );
  const hints = { ...all, subjects: all.subjects.filter((subject) => !choices.has(subject.toLowerCase())) };
  if (takes === 0 || hints.subjects.length <= takes) return [callOf(tool, hints, random)];
  const calls: PlannedCall[] = [];
  for (let at = 0; at + takes <= hints.subjects.length && calls.length < CALLS_MAX; at += takes) {
    calls.push(callOf(tool, { ...hints, subjects: hints.subjects.slice(at, at + takes) }, random));
  }
  return calls;
}

function choicesOf(schema: Schema): string[] {
  if (typeof schema !== "object" || !schema.enum) return [];
  return schema.enum.map((value) => String(value).toLowerCase());
}

/** How many subjects one call takes: its required strings that are neither a choice nor a whole text; 0 for no bound. */
function subjectsTaken(parameters: JsonSchema): number {
  const properties = Object.entries(parameters.properties ?? {});
  const required = properties.filter(([key]) => parameters.required?.includes(key));
  const considered = required.length > 0 ? required : properties.slice(0, 1);
  if (considered.some(([, schema]) => typeof schema === "object" && schema.type === "array")) return 0;
  return considered.filter(
    ([key, schema]) =>
      typeof schema === "object" && schema.type === "string" && !schema.enum && !schema.format && !isTextLike(key),
  ).length;
}

function callOf(tool: FunctionDefinition, hints: Hints, random: Random): PlannedCall {
  if (!tool.parameters) return { name: tool.name, arguments: "{}" };
  // Parameters are an object, whether or not the schema says so.
  const schema = { type: "object", ...tool.parameters } as JsonSchema;
  const value = sampleFilled(schema, hints, random, "needed");
  if (value === undefined) throw unmet(tool, "the simulator finds no value for it");
  return { name: tool.name, arguments: JSON.stringify(value) };
}
