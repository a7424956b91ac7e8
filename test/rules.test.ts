// Every rule finds what it is for: a good transcript breaks none, and each is broken by one that was made to.

import { describe, expect, test } from "bun:test";
import { CHAT_STREAM_RULES, CHAT_WHOLE_RULES, FRAMING_RULES, type Rule, type SeenWhole } from "./rules.ts";
import { type SeenStream, seenStream } from "./stream.ts";

const HEAD = '"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"m"';
const choice = (delta: string, finish = "null", index = '"index":0,') =>
  `data: {${HEAD},"choices":[{${index}"delta":{${delta}},"finish_reason":${finish}}]}\n\n`;
const ROLE = choice('"role":"assistant","content":"","refusal":null');
const TEXT = choice('"content":"Hi"');
const STOP = choice("", '"stop"');
const DONE = "data: [DONE]\n\n";
const call = (members: string) => choice(`"tool_calls":[{${members}}]`);
const CALL = call('"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}');
const ARGUMENTS = call('"index":0,"function":{"arguments":"{}"}');
const CALLED = choice("", '"tool_calls"');
const ERROR = 'data: {"error":{"message":"m","type":"server_error","param":null,"code":null}}\n\n';
const USAGE = `data: {${HEAD},"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}\n\n`;
const withNullUsage = (text: string) => text.replaceAll("}]}\n\n", '}],"usage":null}\n\n');

const INCLUDE_USAGE = { stream_options: { include_usage: true } };
const NAMED = { tool_choice: { type: "function", function: { name: "f" } } };

const GOOD: [text: string, request?: Record<string, unknown>, whole?: boolean][] = [
  [ROLE + TEXT + STOP + DONE],
  [`${ROLE}: keepalive\n${TEXT}: keepalive\n${STOP}${DONE}`],
  [
    ROLE +
      CALL +
      ARGUMENTS +
      call('"index":1,"id":"call_2","type":"function","function":{"name":"f","arguments":"{}"}') +
      CALLED +
      DONE,
  ],
  [ROLE + CALL + ARGUMENTS + STOP + DONE, NAMED],
  [withNullUsage(ROLE + TEXT + STOP) + USAGE + DONE, INCLUDE_USAGE],
  [ROLE + TEXT + ERROR],
  [ROLE + TEXT + choice('"content":"cut').slice(0, -9), {}, false],
];

const BROKEN_FRAMING: Record<string, [text: string, request?: Record<string, unknown>]> = {
  "a comment followed by an empty line": [`${ROLE}: ping\n\n${TEXT}${STOP}${DONE}`],
  "an event without data, or with empty data": [`${ROLE}data: \n\n${TEXT}${STOP}${DONE}`],
  "a line that is neither data nor a comment (id, event, retry), a carriage return, data without its space": [
    `id: 1\n${ROLE}${TEXT}${STOP}${DONE}`,
  ],
  "data that is neither JSON nor [DONE]": [`${ROLE}data: hello\n\n${STOP}${DONE}`],
  "an end without an exact [DONE], or with two of them": [`${ROLE}${TEXT}${STOP}data: [DONE] \n\n`],
  "a last event without its empty line": [(ROLE + TEXT + STOP + DONE).trimEnd()],
  "an `error` key that is null, or that stands beside choices": [
    `${ROLE}${TEXT.replace('"choices"', '"error":null,"choices"')}${STOP}${DONE}`,
  ],
  "an error that is followed by anything, or that looks finished": [ROLE + ERROR + STOP + DONE],
  "an error without its four keys": [`${ROLE}data: {"error":{"message":"m"}}\n\n`],
  "a head (id, created, model, object, system_fingerprint) that changes within a stream": [
    ROLE + TEXT.replace("chatcmpl-1", "chatcmpl-2") + STOP + DONE,
  ],
  "choices that are missing or null": [`${ROLE}data: {${HEAD},"choices":null}\n\n${STOP}${DONE}`],
  "a choice without its index": [ROLE + choice('"content":"Hi"', "null", "") + STOP + DONE],
  "usage other than asked for: nulls and one last chunk with include_usage, no key without": [
    ROLE + TEXT + STOP + USAGE + DONE,
  ],
  "a character torn apart": [ROLE + choice('"content":"\uFFFD"') + STOP + DONE],
};

const BROKEN_CHAT: Record<string, [text: string, request?: Record<string, unknown>]> = {
  "a role that is missing, repeated, empty, or late": [
    ROLE + choice('"role":"assistant","content":"Hi"') + STOP + DONE,
  ],
  "a finish reason that never comes, comes twice or early, or is not null before": [ROLE + TEXT + DONE],
  "another finish reason than tool_calls for calls (stop for a named one), or tool_calls without calls": [
    ROLE + CALL + ARGUMENTS + STOP + DONE,
  ],
  "tool_calls that are an empty list or null": [ROLE + choice('"content":"Hi","tool_calls":[]') + STOP + DONE],
  "a tool call whose index is missing, does not start at 0, or leaps": [
    ROLE + CALL.replace('"tool_calls":[{"index":0', '"tool_calls":[{"index":1') + CALLED + DONE,
  ],
  "a first piece of a tool call without id, type, name or arguments": [
    ROLE + CALL.replace('"type":"function",', "") + ARGUMENTS + CALLED + DONE,
  ],
  "id, type or name of a tool call again in a later piece, not even as null": [
    ROLE + CALL + call('"index":0,"id":null,"function":{"arguments":"{}"}') + CALLED + DONE,
  ],
  "two tool calls with the same id": [
    ROLE +
      CALL +
      ARGUMENTS +
      call('"index":1,"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}') +
      CALLED +
      DONE,
  ],
  "arguments of a finished tool call that are not a JSON object": [ROLE + CALL + CALLED + DONE],
};

const MESSAGE = { role: "assistant", content: "Hi", refusal: null };
const CHOICE = { index: 0, message: MESSAGE, finish_reason: "stop" };
const WHOLE = { choices: [CHOICE], usage: { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 } };
const calling = (args: unknown) => ({
  ...MESSAGE,
  content: null,
  tool_calls: [{ id: "call_1", type: "function", function: { name: "f", arguments: args } }],
});

const BROKEN_WHOLE: Record<string, Partial<SeenWhole>> = {
  "JSON under another content type": { contentType: "text/plain" },
  "an error, or a key of that name, under status 200": { body: { ...WHOLE, error: null } },
  "choices that are missing, null or empty": { body: { ...WHOLE, choices: [] } },
  "a choice without index, or with one out of order": { body: { ...WHOLE, choices: [{ ...CHOICE, index: 1 }] } },
  "a message without the role assistant, or without content and refusal keys": {
    body: { ...WHOLE, choices: [{ ...CHOICE, message: { content: "Hi", refusal: null } }] },
  },
  "usage that is missing or does not add up": { body: { ...WHOLE, usage: { ...WHOLE.usage, total_tokens: 4 } } },
  "tool_calls that are an empty list or null": {
    body: { ...WHOLE, choices: [{ ...CHOICE, message: { ...MESSAGE, tool_calls: [] } }] },
  },
  "a tool call without id, type, name, or arguments that are the text of a JSON object": {
    body: { ...WHOLE, choices: [{ ...CHOICE, message: calling({ a: 1 }), finish_reason: "tool_calls" }] },
  },
  "another finish reason than tool_calls for calls (stop for a named one), or tool_calls without calls": {
    body: { ...WHOLE, choices: [{ ...CHOICE, message: calling("{}") }] },
  },
  "a character torn apart": { raw: "\uFFFD" },
};

const whole = (change: Partial<SeenWhole> = {}): SeenWhole => ({
  raw: JSON.stringify(WHOLE),
  contentType: "application/json",
  body: WHOLE,
  request: {},
  ...change,
});

test("good streams break no rule", () => {
  for (const [text, request = {}, ended = true] of GOOD) {
    const seen = seenStream(text, request, ended);
    const found = [...FRAMING_RULES, ...CHAT_STREAM_RULES].map((rule) => [rule.never, rule.seen(seen)]);
    expect(found.filter(([, what]) => what !== undefined)).toEqual([]);
  }
});

test("a good whole answer breaks no rule", () => {
  expect(CHAT_WHOLE_RULES.map((rule) => rule.seen(whole()))).toEqual(CHAT_WHOLE_RULES.map(() => undefined));
});

function everyRuleFires<Seen>(title: string, rules: Rule<Seen>[], broken: Record<string, Seen>): void {
  describe(title, () => {
    test("each rule has an answer that breaks it", () => {
      expect(Object.keys(broken).sort()).toEqual(rules.map((rule) => rule.never).sort());
    });
    for (const rule of rules) {
      test(`finds ${rule.never}`, () => expect(rule.seen(broken[rule.never]!)).not.toBeUndefined());
    }
  });
}

const streams = (broken: typeof BROKEN_CHAT): Record<string, SeenStream> =>
  Object.fromEntries(
    Object.entries(broken).map(([never, [text, request = {}]]) => [never, seenStream(text, request, true)]),
  );

everyRuleFires("framing", FRAMING_RULES, streams(BROKEN_FRAMING));
everyRuleFires("chat streams", CHAT_STREAM_RULES, streams(BROKEN_CHAT));
everyRuleFires(
  "whole chat answers",
  CHAT_WHOLE_RULES,
  Object.fromEntries(Object.entries(BROKEN_WHOLE).map(([never, change]) => [never, whole(change)])),
);
