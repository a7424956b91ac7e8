// Each kind of remote engine in data/engines.yaml: what such a server says, as it was recorded or as its own sources have
// it, comes out as what SDKs read. A kind without an entry here fails.

import { afterAll, expect, test } from "bun:test";
import { sseEvent } from "@oxbow/contract";
import { violationsOf as shapeViolations } from "../../test/oracle/oracle.ts";
import { CHAT_STREAM_RULES, CHAT_WHOLE_RULES, FRAMING_RULES } from "../../test/rules.ts";
import { deltasOf, seenStream } from "../../test/stream.ts";
import { loadConfig } from "../config.ts";
import { PRIVATE_FIELDS } from "../gateway/forward.ts";
import { createRemoteEngine, EngineStatus } from "./engines.ts";

const { kinds } = loadConfig({ env: {} });
const THEIRS = "org/Theirs-7B";

/** What a server of the kind says to a call that ends in a call of the tool `f` with `{"a":1}`. */
interface Said {
  whole: object;
  stream: string;
  /** Of a prompt that does not fit, with status 400. */
  tooLong: object;
  /** What is in the answer beside the call. */
  reasoning?: string;
}

const HEAD = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1_764_000_000, model: THEIRS };
const WHOLE = { ...HEAD, object: "chat.completion" };
const USAGE = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 };
const DONE = "data: [DONE]\n\n";
const ARGUMENTS = '{"a":1}';
const write = (chunks: object[]) => chunks.map((chunk) => sseEvent({ ...HEAD, ...chunk })).join("") + DONE;
const called = { id: "call_1", type: "function", function: { name: "f", arguments: ARGUMENTS } };

/** One choice, as each of them writes it. */
const vllm = (delta: object, finish_reason: string | null = null) => ({
  choices: [{ index: 0, delta, logprobs: null, finish_reason, ...(finish_reason ? { stop_reason: null } : {}) }],
});
const VLLM: Said = {
  whole: {
    ...WHOLE,
    choices: [
      {
        index: 0,
        message: { role: "assistant", content: null, refusal: null, reasoning: "hm", tool_calls: [called] },
        logprobs: null,
        finish_reason: "tool_calls",
        stop_reason: null,
      },
    ],
    usage: { ...USAGE, prompt_tokens_details: null },
  },
  stream: write([
    vllm({ role: "assistant", content: "" }),
    vllm({ reasoning: "hm" }),
    vllm({ tool_calls: [{ id: "call_1", type: "function", index: 0, function: { name: "f" } }] }),
    vllm({ tool_calls: [{ index: 0, function: { arguments: '{"a"' } }] }),
    vllm({ tool_calls: [{ index: 0, function: { arguments: ":1}" } }] }),
    vllm({ content: "" }, "tool_calls"),
    { choices: [], usage: USAGE },
  ]),
  tooLong: {
    error: {
      message: "This model's maximum context length is 64 tokens. However, your request has 90 input tokens.",
      type: "BadRequestError",
      param: null,
      code: 400,
    },
  },
  reasoning: "hm",
};

const sglang = (delta: object, finish_reason: string | null = null) => ({
  choices: [
    {
      index: 0,
      delta: { role: null, content: null, reasoning_content: null, tool_calls: null, ...delta },
      logprobs: null,
      finish_reason,
      matched_stop: null,
    },
  ],
});
const python = (delta: object, finish_reason: string | null = null) => ({
  choices: [{ index: 0, finish_reason, logprobs: null, delta }],
});
const piece = (text: string) => ({
  role: null,
  content: null,
  function_call: { name: "f", arguments: text },
  tool_calls: [{ index: 0, id: "call__0_f", type: "function", function: { name: "f", arguments: text } }],
});

const SAID: Record<string, Said> = {
  vllm: VLLM,
  router: { ...VLLM, stream: VLLM.stream.replaceAll("data: ", ": keepalive\n\ndata: ") },
  sglang: {
    whole: {
      ...WHOLE,
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: null, reasoning_content: null, tool_calls: [{ ...called, index: 0 }] },
          logprobs: null,
          finish_reason: "tool_calls",
          matched_stop: null,
        },
      ],
      usage: USAGE,
    },
    stream: write([
      sglang({ role: "assistant", content: "" }),
      sglang({ tool_calls: [{ id: "call_1", index: 0, type: "function", function: { name: "f", arguments: "" } }] }),
      sglang({
        tool_calls: [{ id: null, index: 0, type: "function", function: { name: null, arguments: ARGUMENTS } }],
      }),
      sglang({}, "tool_calls"),
      { choices: [], usage: USAGE },
    ]),
    tooLong: {
      object: "error",
      message: "The input (90 tokens) is longer than the model's context length (64 tokens).",
      type: "BadRequest",
      param: null,
      code: 400,
    },
  },
  "llama-server": {
    whole: {
      ...WHOLE,
      choices: [
        { finish_reason: "tool_calls", index: 0, message: { role: "assistant", content: null, tool_calls: [called] } },
      ],
      usage: USAGE,
      timings: { prompt_n: 10 },
    },
    stream: write([
      { choices: [{ finish_reason: null, index: 0, delta: { role: "assistant", content: null } }] },
      {
        choices: [
          {
            finish_reason: null,
            index: 0,
            delta: { tool_calls: [{ index: 0, ...called, function: { name: "f", arguments: "{" } }] },
          },
        ],
      },
      {
        choices: [
          { finish_reason: null, index: 0, delta: { tool_calls: [{ index: 0, function: { arguments: '"a":1}' } }] } },
        ],
      },
      { choices: [{ finish_reason: "tool_calls", index: 0, delta: {} }] },
      { choices: [], usage: USAGE, timings: { prompt_n: 10 } },
    ]),
    tooLong: {
      error: {
        code: 400,
        message: "request (90 tokens) exceeds the available context size (64 tokens), try increasing it",
        type: "exceed_context_size_error",
        n_prompt_tokens: 90,
        n_ctx: 64,
      },
    },
  },
  "llama-cpp-python": {
    whole: {
      ...WHOLE,
      choices: [
        {
          index: 0,
          message: { content: null, tool_calls: [called], role: "assistant", function_call: called.function },
          logprobs: null,
          finish_reason: "tool_calls",
        },
      ],
      usage: USAGE,
    },
    stream: write([
      python({ role: "assistant", content: null, function_call: null, tool_calls: null }),
      python(piece('{"a"')),
      python(piece(":1}")),
      python({ role: null, content: null, function_call: null, tool_calls: null }, "tool_calls"),
    ]),
    tooLong: {
      error: {
        message:
          "This model's maximum context length is 64 tokens. However, you requested 90 tokens (74 in the messages, 16 in the completion).",
        type: "invalid_request_error",
        param: "messages",
        code: "context_length_exceeded",
      },
    },
  },
  ollama: {
    whole: {
      ...WHOLE,
      id: "chatcmpl-12",
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: "", reasoning: "hm", tool_calls: [{ ...called, index: 0 }] },
          finish_reason: "tool_calls",
        },
      ],
      usage: USAGE,
    },
    stream: write([
      { choices: [{ index: 0, delta: { role: "assistant", content: "", reasoning: "hm" }, finish_reason: null }] },
      {
        choices: [
          {
            index: 0,
            delta: { role: "assistant", content: "", tool_calls: [{ ...called, index: 0 }] },
            finish_reason: null,
          },
        ],
      },
      { choices: [{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: "stop" }] },
      { choices: [], usage: USAGE },
    ]),
    tooLong: { error: { message: "prompt too long; exceeded max context length by 26 tokens", type: "api_error" } },
    reasoning: "hm",
  },
  openai: {
    whole: {
      ...WHOLE,
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: null, refusal: null, annotations: [], tool_calls: [called] },
          finish_reason: "tool_calls",
        },
      ],
      usage: USAGE,
      service_tier: "default",
    },
    stream: write(
      [
        { choices: [{ index: 0, delta: { role: "assistant", content: null, refusal: null }, finish_reason: null }] },
        {
          choices: [
            {
              index: 0,
              delta: { tool_calls: [{ index: 0, ...called, function: { name: "f", arguments: "" } }] },
              finish_reason: null,
            },
          ],
        },
        {
          choices: [
            {
              index: 0,
              delta: { tool_calls: [{ index: 0, function: { arguments: ARGUMENTS } }] },
              finish_reason: null,
            },
          ],
        },
        { choices: [{ index: 0, delta: {}, finish_reason: "tool_calls" }] },
        { choices: [], usage: USAGE },
      ].map((chunk) => ({ usage: null, ...chunk, obfuscation: "x" })),
    ),
    tooLong: {
      error: {
        message: "This model's maximum context length is 64 tokens. However, your messages resulted in 90 tokens.",
        type: "invalid_request_error",
        param: "messages",
        code: "context_length_exceeded",
      },
    },
  },
};

let answer: () => Response;
const server = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => answer() });
afterAll(() => server.stop(true));

/** Kinds that answer chats; the others paint, and are passed on as they are. */
const [remoteKinds, others] = [true, false].map((chats) =>
  Object.keys(kinds).filter(
    (name) => kinds[name]!.remote && kinds[name]!.features.includes("structured_outputs") === chats,
  ),
) as [string[], string[]];
const REQUEST = {
  model: "ours",
  messages: [{ role: "user", content: "Hi" }],
  tools: [{ type: "function", function: { name: "f" } }],
};

function call(kind: string, request: object, response: () => Response, path = "/v1/chat/completions") {
  answer = response;
  const entry = { id: "far", kind, url: `${server.url.origin}/v1`, models: [{ id: "ours", name: THEIRS }] };
  const engine = createRemoteEngine(
    { ...entry, slots: 1, weight: 1, tags: [], pinned: true, options: {} },
    kinds[kind]!,
    {},
    [],
  );
  const body = new TextEncoder().encode(JSON.stringify({ ...REQUEST, ...request }));
  return engine.call(path, body, { signal: new AbortController().signal, model: "ours" });
}

test("every kind of remote engine has its test here", () => {
  expect(Object.keys(SAID).sort()).toEqual(remoteKinds.sort());
});

test.each(others)("%s: an answer passes byte for byte, and nothing of chats is repaired", async (kind) => {
  expect(kinds[kind]!.remote!.repairs).toEqual([]);
  const said = '{ "created": 1.0, "data": [ { "b64_json": "AAAA" } ], "seed": 12345678901234567890 }';
  const response = () => new Response(said, { headers: { "content-type": "application/json" } });
  const got = await call(kind, {}, response, "/v1/images/generations");
  expect(got.kind === "whole" && Buffer.from(got.bytes).toString()).toBe(said);
});

test.each(remoteKinds)("%s: a whole answer", async (kind) => {
  const { whole, reasoning } = SAID[kind]!;
  const got = await call(kind, {}, () => Response.json(whole));
  if (got.kind !== "whole") throw new Error("not whole");
  const raw = Buffer.from(got.bytes).toString();
  const body = JSON.parse(raw);
  const seen = { raw, contentType: got.contentType, body, request: REQUEST };
  expect(CHAT_WHOLE_RULES.flatMap((rule) => (rule.seen(seen) === undefined ? [] : [rule.never]))).toEqual([]);
  expect(shapeViolations("CreateChatCompletionResponse", body)).toEqual([]);
  expect(body.model).toBe("ours");
  expect(got.usage).toEqual({ prompt_tokens: 10, completion_tokens: 5 });
  const { message } = body.choices[0];
  expect(message.tool_calls).toMatchObject([{ type: "function", function: { name: "f", arguments: ARGUMENTS } }]);
  expect(message.reasoning_content ?? undefined).toBe(reasoning);
});

test.each(remoteKinds)("%s: a stream, with counts and without", async (kind) => {
  const { stream, reasoning } = SAID[kind]!;
  for (const wish of [{}, { stream_options: { include_usage: true } }]) {
    const request = { ...REQUEST, stream: true, ...wish };
    const got = await call(
      kind,
      request,
      () => new Response(stream, { headers: { "content-type": "text/event-stream" } }),
    );
    if (got.kind !== "stream") throw new Error("not a stream");
    let raw = "";
    let counts = null;
    for (let frame = await got.events.next(); frame !== null; frame = await got.events.next()) {
      raw += Buffer.from(frame.bytes).toString();
      counts = frame.usage ?? counts;
    }
    const seen = seenStream(raw, request, true);
    const found = [...FRAMING_RULES, ...CHAT_STREAM_RULES].flatMap((rule) =>
      rule.seen(seen) === undefined ? [] : [rule.never],
    );
    expect(found).toEqual([]);
    expect(seen.chunks.flatMap((chunk) => shapeViolations("CreateChatCompletionStreamResponse", chunk))).toEqual([]);
    expect(counts).toEqual(
      kind === "llama-cpp-python" ? expect.anything() : { prompt_tokens: 10, completion_tokens: 5 },
    );
    const deltas = deltasOf(seen).get(0)!;
    const pieces = deltas.flatMap(({ delta }) => delta.tool_calls ?? []);
    expect(pieces[0]!.function!.name).toBe("f");
    expect(pieces.map((each) => each.function?.arguments ?? "").join("")).toBe(ARGUMENTS);
    expect(deltas.map(({ delta }) => delta.reasoning_content ?? "").join("")).toBe(reasoning ?? "");
    expect(seen.chunks.every(({ model }) => model === "ours")).toBe(true);
  }
});

test.each(remoteKinds)("%s: a prompt that does not fit", async (kind) => {
  const refusal = () => Response.json(SAID[kind]!.tooLong, { status: 400 });
  const error = await call(kind, {}, refusal).catch((thrown) => thrown);
  const told = error instanceof EngineStatus ? error.cause : error;
  expect([kind, told.row, told.param]).toEqual([kind, "context_length_exceeded", "messages"]);
});

test("fields that no engine gets are no kind's affair: they are taken out before its row is looked at", () => {
  const twice = Object.entries(kinds).flatMap(([name, { remote }]) =>
    (remote?.privateFields ?? []).filter((field) => PRIVATE_FIELDS.includes(field)).map((field) => [name, field]),
  );
  expect(twice).toEqual([]);
});
