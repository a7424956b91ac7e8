// What stands on the wire, byte by byte, over the ways in which an answer can be asked for: from the simulator, which
// does what is asked to the letter, and from the built-in model on the real engine.

import { describe, expect, test } from "bun:test";
import { violationsOf } from "./contract.ts";
import { KEY, startServer } from "./harness.ts";
import { headerOf, type Message, request, statusOf } from "./http.ts";
import { seenStream } from "./stream.ts";
import { HELLO, MODEL, TWO_CITIES, useServer, WEATHER } from "./suite.ts";

const server = useServer();
const AUTH = { authorization: `Bearer ${KEY}` };

const SCHEMA = {
  type: "object",
  properties: { name: { type: "string", maxLength: 8 }, count: { type: "integer", minimum: 0, maximum: 9 } },
  required: ["name", "count"],
  additionalProperties: false,
};
const TIME = {
  type: "function",
  function: { name: "get_time", parameters: { type: "object", properties: {}, additionalProperties: false } },
};

/** Ways to ask, without `stream`: each is asked for whole and streamed. */
const VARIANTS: Record<string, Record<string, unknown>> = {
  plain: {},
  "a limit of one token": { max_completion_tokens: 1 },
  "stop strings": { stop: ["e", "\n\n"] },
  "three choices": { n: 3, temperature: 1 },
  "log-probabilities": { logprobs: true, top_logprobs: 2 },
  "three choices with log-probabilities": { n: 3, logprobs: true, top_logprobs: 0 },
  "a JSON object": {
    response_format: { type: "json_object" },
    messages: [{ role: "user", content: "Answer in JSON." }],
  },
  "a JSON schema": {
    response_format: { type: "json_schema", json_schema: { name: "a", strict: true, schema: SCHEMA } },
  },
  "tools, two calls": { tools: [WEATHER], messages: TWO_CITIES },
  "tools, required": { tools: [WEATHER], tool_choice: "required" },
  "tools, one named": { tools: [WEATHER, TIME], tool_choice: { type: "function", function: { name: "get_time" } } },
  "tools, none": { tools: [WEATHER], tool_choice: "none", messages: TWO_CITIES },
  "tools, not in parallel": { tools: [WEATHER], tool_choice: "required", parallel_tool_calls: false },
  "tools, two choices": { tools: [WEATHER], tool_choice: "required", n: 2 },
  "a tool without parameters": { tools: [{ type: "function", function: { name: "ping" } }], tool_choice: "required" },
  functions: { functions: [WEATHER.function], function_call: { name: "get_weather" } },
  "temperature, penalties, bias": {
    temperature: 2,
    top_p: 0.9,
    frequency_penalty: 1,
    presence_penalty: -1,
    logit_bias: { "5": -100 },
  },
};

const RESPONSES_TOOL = { type: "function", ...WEATHER.function };
const PING = { type: "function", name: "ping" };

/** Ways to ask for a response, without `stream`. */
const RESPONSES_VARIANTS: Record<string, Record<string, unknown>> = {
  plain: {},
  "instructions and items": { instructions: "Be brief.", input: [{ type: "message", ...HELLO[0] }] },
  "log-probabilities": { include: ["message.output_text.logprobs"], top_logprobs: 2 },
  "a JSON object": { text: { format: { type: "json_object" } }, input: "Answer in JSON." },
  "a JSON schema": { text: { format: { type: "json_schema", name: "a", strict: true, schema: SCHEMA } } },
  "tools, two calls": { tools: [RESPONSES_TOOL], input: TWO_CITIES },
  "tools, required": { tools: [RESPONSES_TOOL], tool_choice: "required" },
  "tools, one named": { tools: [RESPONSES_TOOL, PING], tool_choice: { type: "function", name: "ping" } },
  "tools, not in parallel": { tools: [RESPONSES_TOOL], tool_choice: "required", parallel_tool_calls: false },
  "everything that only the answer repeats": {
    ...{ metadata: { a: "b" }, user: "u", safety_identifier: "s", prompt_cache_key: "k", store: true },
    ...{ service_tier: "auto", truncation: "disabled", temperature: 0, top_p: 0.5, text: { verbosity: "medium" } },
  },
};

const STREAM_OPTIONS: Record<string, Record<string, unknown> | undefined> = {
  streamed: undefined,
  "streamed with usage": { include_usage: true },
  "streamed with padding": { include_obfuscation: true },
};

function ask(path: string, body: Record<string, unknown>): Promise<Message | null> {
  return request(server().tap.port, "POST", path, { headers: AUTH, body: JSON.stringify(body) });
}

/** Every exchange since the last call, held to the contract. */
function expectNoViolations(): void {
  expect(server().tap.exchanges().flatMap(violationsOf)).toEqual([]);
  server().tap.clear();
}

describe.each([MODEL, "tiny"])("chat with %s", (model) => {
  // Noise never ends by itself: a bound keeps its answers short. The simulator's own texts are short enough.
  const bound = model === "tiny" ? { max_completion_tokens: 48, seed: 1 } : { seed: 1 };

  describe.each(Object.entries(VARIANTS))("%s", (_, fields) => {
    const body = { model, messages: HELLO, ...bound, ...fields };

    test("whole", async () => {
      const answer = await ask("/v1/chat/completions", body);
      expect(answer!.body.toString()).toStartWith('{"id":"chatcmpl-');
      expect(statusOf(answer!)).toBe(200);
      expectNoViolations();
    });

    test.each(Object.entries(STREAM_OPTIONS))("%s", async (_, options) => {
      const asked = { ...body, stream: true, ...(options ? { stream_options: options } : {}) };
      const answer = await ask("/v1/chat/completions", asked);
      expect(answer!.body.toString()).toStartWith("data: {");
      expect(statusOf(answer!)).toBe(200);
      expectNoViolations();
      // A piece on the wire holds whole events: a client that reads badly still reads them.
      for (const piece of answer!.chunks) expect(piece.toString()).toEndWith("\n\n");
      const padded = seenStream(answer!.body.toString(), asked, true).chunks.filter((chunk) => "obfuscation" in chunk);
      expect(padded.length > 0).toBe(options?.include_obfuscation === true);
    });
  });

  test("logprobs are absent unless asked for", async () => {
    const answer = JSON.parse(
      (await ask("/v1/chat/completions", { model, messages: HELLO, ...bound }))!.body.toString(),
    );
    expect(answer.choices[0].logprobs ?? null).toBeNull();
    expect(Object.keys(answer)).toEqual(expect.arrayContaining(["service_tier", "system_fingerprint", "usage"]));
    expect(Object.keys(answer.usage)).toEqual(
      expect.arrayContaining(["prompt_tokens_details", "completion_tokens_details"]),
    );
  });

  test.each([false, true])("completions, streamed: %p", async (stream) => {
    for (const fields of [{}, { n: 2, logprobs: 1 }, { prompt: ["a", "b"] }, { echo: true }, { stop: " " }]) {
      const options = stream ? { stream, stream_options: { include_usage: true } } : {};
      const body = { model, prompt: "Once upon a time", max_tokens: 12, ...options, ...fields };
      const answer = await ask("/v1/completions", body);
      expect(statusOf(answer!)).toBe(200);
    }
    expectNoViolations();
  });
});

describe.each([MODEL, "tiny", "gpt-oss-120b"])("responses with %s", (model) => {
  describe.each(Object.entries(RESPONSES_VARIANTS))("%s", (_, fields) => {
    const body = { model, input: "Say hello.", max_output_tokens: 48, ...fields };

    test("whole", async () => {
      const answer = await ask("/v1/responses", body);
      expect(answer!.body.toString()).toStartWith('{"id":"resp_');
      expect(statusOf(answer!)).toBe(200);
      expectNoViolations();
    });

    test.each([false, true])("streamed, with padding: %p", async (include_obfuscation) => {
      const answer = await ask("/v1/responses", { ...body, stream: true, stream_options: { include_obfuscation } });
      expect(answer!.body.toString()).toStartWith("event: response.created\ndata: {");
      expect(statusOf(answer!)).toBe(200);
      expectNoViolations();
      for (const piece of answer!.chunks) expect(piece.toString()).toEndWith("\n\n");
      expect(answer!.body.toString().includes('"obfuscation":"')).toBe(include_obfuscation);
    });
  });
});

test("a silent engine: headers first, comments while it is silent, and then the answer", async () => {
  const body = { model: MODEL, messages: HELLO, stream: true, x_simulate: { ttftMs: 900 } };
  const quiet = await startServer({ simulate: true, env: { OXBOW_KEEPALIVE_MS: "200" } });
  try {
    const answer = await request(quiet.tap.port, "POST", "/v1/chat/completions", {
      headers: AUTH,
      body: JSON.stringify(body),
    });
    expect(answer!.body.toString()).toMatch(/^(: keepalive\n)+data: \{/);
    const respond = (model: string, simulation: object) =>
      request(quiet.tap.port, "POST", "/v1/responses", {
        headers: { ...AUTH, "x-simulate": JSON.stringify(simulation) },
        body: JSON.stringify({ model, input: "Hi", stream: true }),
      });
    const late = await respond(MODEL, { ttftMs: 900 });
    expect(late!.body.toString()).toMatch(/^(: keepalive\n)+event: response\.created\n/);
    // The status is spent, so the engine's refusal is told in the stream.
    const failed = await respond(MODEL, { ttftMs: 900, fault: { kind: "interrupt", afterTokens: 0 } });
    expect(failed!.body.toString()).toMatch(/^(: keepalive\n)+event: response\.created\n/);
    expect(failed!.body.toString()).toContain("\nevent: response.failed\n");
    quiet.assertTraffic();
  } finally {
    await quiet.stop();
  }
});

test("an answer cannot be mistaken for a page, a file or something to keep", async () => {
  const answer = (await ask("/v1/chat/completions", { model: MODEL, messages: HELLO, stream: true }))!;
  expect(headerOf(answer, "content-type")).toBe("text/event-stream; charset=utf-8");
  expect(headerOf(answer, "cache-control")).toBe("no-cache");
  expect(headerOf(answer, "x-accel-buffering")).toBe("no");
  expect(headerOf(answer, "x-content-type-options")).toBe("nosniff");
});
