// For tests: holds the raw bytes of a chat stream to everything that some SDK breaks on (test/rules.ts), and puts the
// pieces together as clients do.

import { expect } from "bun:test";

interface Delta {
  role?: string;
  content?: string | null;
  refusal?: null;
  reasoning_content?: string;
  function_call?: { name?: string; arguments: string };
  tool_calls?: { index: number; id?: string; type?: string; function: { name?: string; arguments: string } }[];
}
interface Chunk {
  id: string;
  object: string;
  created: number;
  model: string;
  system_fingerprint: string;
  choices: { index: number; delta: Delta; finish_reason: string | null; logprobs?: { content: unknown[] } }[];
  usage?: { prompt_tokens: number; completion_tokens: number; total_tokens: number } | null;
}

export interface StreamedChoice {
  content: string | null;
  reasoning: string;
  calls: { id: string; name: string; arguments: string }[];
  functionCall: { name: string; arguments: string } | null;
  logprobs: unknown[];
  finish: string;
  /** Tokens' worth of deltas. */
  pieces: number;
}

/** @param raw the whole body @param n how many choices were asked for */
export function auditChatStream(
  raw: string,
  n = 1,
): { choices: StreamedChoice[]; usage: Chunk["usage"]; chunks: Chunk[] } {
  expect(raw).not.toContain("\r");
  expect(raw.endsWith("data: [DONE]\n\n")).toBe(true);
  const events = raw.slice(0, -2).split("\n\n");
  expect(events.pop()).toBe("data: [DONE]");
  const chunks = events.map((event) => {
    // One line, `data: ` and JSON: no comment with a blank line, no id, no event, nothing empty.
    expect(event).toMatch(/^data: \{[^\n]*\}$/);
    return JSON.parse(event.slice(6)) as Chunk;
  });

  const withUsage = chunks.filter((chunk) => chunk.choices.length === 0);
  expect(withUsage.length).toBeLessThanOrEqual(1);
  if (withUsage[0]) expect(chunks.at(-1)).toBe(withUsage[0]);
  const { id, created, model, system_fingerprint } = chunks[0]!;
  expect(id).toMatch(/^chatcmpl-/);
  expect(Number.isInteger(created)).toBe(true);
  const open = new Map<number, StreamedChoice>();
  for (const chunk of chunks) {
    expect(chunk).toMatchObject({ id, created, model, system_fingerprint, object: "chat.completion.chunk" });
    expect("error" in chunk).toBe(false);
    if (withUsage[0]) expect(chunk.usage === null).toBe(chunk !== withUsage[0]);
    else expect("usage" in chunk).toBe(false);
    for (const choice of chunk.choices) takeChoice(choice, open);
  }
  expect([...open.keys()].sort((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, index) => index));
  for (const choice of open.values()) expect(choice.finish).not.toBe("");
  return {
    choices: [...open.entries()].sort((a, b) => a[0] - b[0]).map(([, each]) => each),
    usage: withUsage[0]?.usage,
    chunks,
  };
}

function takeChoice(
  { index, delta, finish_reason, logprobs }: Chunk["choices"][number],
  open: Map<number, StreamedChoice>,
): void {
  expect(Number.isInteger(index)).toBe(true);
  const isFirst = !open.has(index);
  // The role in the first delta of a choice, and only there.
  expect(delta.role).toBe(isFirst ? "assistant" : (undefined as never));
  if (isFirst) {
    expect("content" in delta && "refusal" in delta).toBe(true);
    const content = delta.content ?? null;
    open.set(index, { content, reasoning: "", calls: [], functionCall: null, logprobs: [], finish: "", pieces: 0 });
    return;
  }
  const choice = open.get(index)!;
  // Nothing after the finish.
  expect(choice.finish).toBe("");
  expect(finish_reason === null || FINISHES.includes(finish_reason)).toBe(true);
  if (finish_reason !== null) {
    choice.finish = finish_reason;
    return;
  }
  choice.pieces++;
  if (logprobs) choice.logprobs.push(...logprobs.content);
  if (delta.content !== undefined) choice.content = (choice.content ?? "") + delta.content;
  choice.reasoning += delta.reasoning_content ?? "";
  if (delta.function_call) {
    const { name, arguments: fragment } = delta.function_call;
    expect(name === undefined).toBe(choice.functionCall !== null);
    choice.functionCall ??= { name: name!, arguments: "" };
    choice.functionCall.arguments += fragment;
  }
  if (!("tool_calls" in delta)) return;
  expect(delta.tool_calls).toHaveLength(1);
  const call = delta.tool_calls![0]!;
  if (call.index === choice.calls.length) {
    expect(call).toEqual({
      index: call.index,
      id: expect.stringMatching(/^call_/),
      type: "function",
      function: { name: expect.any(String), arguments: "" },
    });
    choice.calls.push({ id: call.id!, name: call.function.name!, arguments: "" });
  } else {
    // Later pieces: only the arguments; id, type and name neither again nor as null.
    expect(call.index).toBe(choice.calls.length - 1);
    expect(Object.keys(call).sort()).toEqual(["function", "index"]);
    expect(Object.keys(call.function)).toEqual(["arguments"]);
    choice.calls.at(-1)!.arguments += call.function.arguments;
  }
}

const FINISHES = ["stop", "length", "tool_calls", "content_filter", "function_call"];
