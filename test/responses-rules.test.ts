// Every rule finds what it is for: a good transcript breaks none, and each is broken by one that was made to.

import { expect, test } from "bun:test";
import { RESPONSE_RULES, RESPONSES_STREAM_RULES, seenResponsesStream } from "./responses-rules.ts";

const HEAD = {
  ...{ id: "resp_1", object: "response", created_at: 1, model: "m", tools: [], tool_choice: "auto" },
  ...{ truncation: "disabled", parallel_tool_calls: true, text: {}, top_p: 1, temperature: 1, top_logprobs: 0 },
  ...{ presence_penalty: 0, frequency_penalty: 0, store: false, background: false, service_tier: "default" },
  ...{ metadata: {}, completed_at: null, incomplete_details: null, previous_response_id: null, instructions: null },
  ...{ error: null, reasoning: null, usage: null, max_output_tokens: null, max_tool_calls: null },
  ...{ safety_identifier: null, prompt_cache_key: null, status: "in_progress", output: [] as object[] },
};
const MESSAGE = { id: "msg_1", type: "message", status: "completed", role: "assistant" };
const CALL = { id: "fc_1", type: "function_call", status: "completed", call_id: "c", name: "f", arguments: "{}" };
const PART = { type: "output_text", text: "Hi", annotations: [], logprobs: [] };
const SAID = { ...MESSAGE, content: [PART] };
const DONE = { ...HEAD, status: "completed", completed_at: 2, usage: {}, output: [SAID, CALL] };
const AT = { item_id: "msg_1", output_index: 0, content_index: 0 };
const CALL_AT = { item_id: "fc_1", output_index: 1 };

const GOOD: { type: string; [field: string]: unknown }[] = [
  { type: "response.created", response: HEAD },
  { type: "response.in_progress", response: HEAD },
  { type: "response.output_item.added", output_index: 0, item: { ...MESSAGE, status: "in_progress", content: [] } },
  { type: "response.content_part.added", ...AT, part: { ...PART, text: "" } },
  { type: "response.output_text.delta", ...AT, delta: "H", logprobs: [] },
  { type: "response.output_text.delta", ...AT, delta: "i", logprobs: [] },
  { type: "response.output_text.done", ...AT, text: "Hi", logprobs: [] },
  { type: "response.content_part.done", ...AT, part: PART },
  { type: "response.output_item.done", output_index: 0, item: SAID },
  { type: "response.output_item.added", output_index: 1, item: { ...CALL, status: "in_progress", arguments: "" } },
  { type: "response.function_call_arguments.delta", ...CALL_AT, delta: "{}" },
  { type: "response.function_call_arguments.done", ...CALL_AT, name: "f", arguments: "{}" },
  { type: "response.output_item.done", output_index: 1, item: CALL },
  { type: "response.completed", response: DONE },
];
const FAILED = { ...HEAD, status: "failed", error: {}, output: [{ ...SAID, status: "incomplete" }] };

const written = (events: typeof GOOD) =>
  events
    .map(
      ({ type, ...rest }, at) => `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: at, ...rest })}\n\n`,
    )
    .join("");
const without = (...at: number[]) => GOOD.filter((_, index) => !at.includes(index));
const changed = (at: number, fields: object) =>
  GOOD.map((event, index) => (index === at ? { ...event, ...fields } : event));

/** The first rule's name that a stream breaks. */
const brokenBy = (raw: string, whole = true) => {
  const seen = seenResponsesStream(raw, whole);
  return RESPONSES_STREAM_RULES.filter((rule) => rule.seen(seen) !== undefined).map((rule) => rule.never);
};

test("good streams break no rule: whole, failed, and cut by the client", () => {
  expect(brokenBy(written(GOOD))).toEqual([]);
  expect(brokenBy(written([...GOOD.slice(0, 6), { type: "response.failed", response: FAILED }]))).toEqual([]);
  expect(brokenBy(written(GOOD).slice(0, -30), false)).toEqual([]);
  expect(brokenBy(`: keepalive\n: keepalive\n${written(GOOD)}`)).toEqual([]);
});

const BROKEN: Record<string, string[]> = {
  "a frame that is not `event: <type>`, its data and an empty line; a [DONE]": [
    `${written(GOOD)}data: [DONE]\n\n`,
    written(GOOD).replace("event: response.created\n", ""),
    written(GOOD).replace("event: response.created\n", "event: response.completed\n"),
    `: ping\n\n${written(GOOD)}`,
  ],
  "a sequence number that does not count up from 0": [
    written(GOOD).replace('"sequence_number":5', '"sequence_number":6'),
  ],
  "an end without its one terminal event, or with more": [written(without(13)), written([...GOOD, GOOD.at(-1)!])],
  "events in another order than items are written in": [
    written(without(1)),
    written(without(3)),
    written(without(6)),
    written(without(12)),
    written([...GOOD.slice(0, 7), GOOD[8]!, GOOD[7]!, ...GOOD.slice(9)]),
  ],
  "an event that does not say to which item it belongs, or to another than the open one": [
    written(changed(4, { item_id: undefined })),
    written(changed(4, { content_index: undefined })),
    written(changed(10, { output_index: 0 })),
    written(changed(9, { output_index: 2 })),
  ],
  "deltas that do not add up to what the item says at its end": [written(without(5))],
  "a response that is another one at the end than at the beginning": [
    written(changed(13, { response: { ...DONE, id: "resp_2" } })),
  ],
  "a response inside an event that breaks a rule of its own": [
    written(changed(13, { response: { ...DONE, usage: null } })),
    written(changed(0, { response: { ...HEAD, metadata: null } })),
  ],
};

test.each(RESPONSES_STREAM_RULES.map(({ never }) => never))("finds %s", (never) => {
  expect(BROKEN[never]?.length).toBeGreaterThan(0);
  for (const raw of BROKEN[never]!) expect(brokenBy(raw)).toContain(never);
});

test("the object's own rules", () => {
  const broken = (response: object) =>
    RESPONSE_RULES.filter((rule) => rule.seen(response as typeof DONE as never) !== undefined).map(
      (rule) => rule.never,
    );
  expect(broken(DONE)).toEqual([]);
  const { max_tool_calls: _, ...lacking } = DONE;
  expect(broken(lacking)).toEqual([RESPONSE_RULES[0]!.never]);
  expect(broken({ ...DONE, completed_at: null })).toEqual([RESPONSE_RULES[1]!.never]);
  expect(broken({ ...DONE, output: [{ ...SAID, status: "in_progress" }] })).toEqual([RESPONSE_RULES[2]!.never]);
});
