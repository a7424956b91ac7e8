import { describe, expect, test } from "bun:test";
import type { WorkerConfig } from "@oxbow/contract";
import fc from "fast-check";
import { createSimulator } from "./server.ts";
import { auditChatStream } from "./stream-audit.ts";
import { encode } from "./tokenizer.ts";

const model = (id: string, capabilities: string[], contextTokens = 8192, category = "chat") => ({
  id,
  aliases: [`${id}-alias`],
  category,
  capabilities,
  contextTokens,
});
const config = (more: Partial<WorkerConfig> = {}): WorkerConfig => ({
  socket: "",
  models: [
    model("m", ["tools", "vision"]),
    model("thinker", ["tools", "reasoning"]),
    model("small", ["tools"], 64),
    model("vectors", ["embeddings"], 512, "embeddings"),
  ],
  slots: 8,
  threads: 1,
  options: {},
  ...more,
});
const handler = createSimulator(config());

type Body = Record<string, unknown>;
const send = (body: Body, headers: Record<string, string> = {}, path = "/v1/chat/completions", handle = handler) =>
  handle(new Request(`http://worker${path}`, { method: "POST", body: JSON.stringify(body), headers }));
const user = (content: unknown) => [{ role: "user", content }];

interface Message {
  role: string;
  content: string | null;
  reasoning_content?: string;
  tool_calls?: { id: string; type: string; function: { name: string; arguments: string } }[];
  function_call?: { name: string; arguments: string };
}
interface Entry {
  token: string;
  logprob: number;
  bytes: number[];
  top_logprobs: Omit<Entry, "top_logprobs">[];
}
interface Whole {
  id: string;
  model: string;
  object: string;
  system_fingerprint: string;
  choices: { index: number; message: Message; finish_reason: string; logprobs?: { content: Entry[] } }[];
  usage: {
    prompt_tokens: number;
    completion_tokens: number;
    total_tokens: number;
    prompt_tokens_details: { cached_tokens: number };
    completion_tokens_details: { reasoning_tokens: number };
  };
}

async function whole(body: Body, handle = handler): Promise<Whole> {
  const response = await send({ model: "m", messages: user("Hello there"), ...body }, {}, undefined, handle);
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/json"]);
  return (await response.json()) as Whole;
}
async function streamed(body: Body) {
  const response = await send({ model: "m", messages: user("Hello there"), stream: true, ...body });
  expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
  return auditChatStream(await response.text(), (body.n as number) ?? 1);
}
async function refusal(body: Body) {
  const response = await send({ model: "m", messages: user("Hello there"), ...body });
  const { error } = (await response.json()) as { error: { code: string; param: string; message: string } };
  refusalText = error.message;
  return [response.status, error.code, error.param] as const;
}
/** Message of the last refusal. */
let refusalText = "";
const textOf = (answer: Whole, index = 0) => answer.choices[index]!.message.content!;
const callsOf = (answer: Whole) =>
  (answer.choices[0]!.message.tool_calls ?? []).map((call) => [
    call.function.name,
    JSON.parse(call.function.arguments),
  ]);

const weather = {
  type: "function",
  function: {
    name: "get_weather",
    description: "Get current weather for a location",
    parameters: {
      type: "object",
      properties: { location: { type: "string" }, unit: { type: "string", enum: ["celsius", "fahrenheit"] } },
      required: ["location"],
    },
  },
};

describe("a plain answer", () => {
  test("says that it is simulated, quotes the user, and carries the marks of the simulator", async () => {
    const response = await send({ model: "m-alias", messages: user("How do I design a manager?") });
    expect(response.headers.get("x-oxbow-simulated")).toBe("true");
    const answer = (await response.json()) as Whole;
    expect(answer).toMatchObject({ object: "chat.completion", model: "m", system_fingerprint: "fp_simulated" });
    expect(textOf(answer)).toMatch(/simulat|no model|nobody/i);
    expect(textOf(answer)).toContain("How do I design a manager?");
    expect(answer.choices[0]!.finish_reason).toBe("stop");
    expect(encode(textOf(answer)).length).toBe(answer.usage.completion_tokens);
    expect(answer.usage.total_tokens).toBe(answer.usage.prompt_tokens + answer.usage.completion_tokens);
  });

  test("is the same for the same request, another for another seed, and one for all seeds at temperature 0", async () => {
    const text = async (body: Body) => textOf(await whole(body));
    expect(await text({})).toBe(await text({}));
    expect(await text({ seed: 7 })).toBe(await text({ seed: 7 }));
    expect(await text({ seed: 7 })).not.toBe(await text({ seed: 8 }));
    expect(await text({ seed: 7, temperature: 0 })).toBe(await text({ seed: 8, temperature: 0 }));
    expect(await text({ messages: user("Hello here") })).not.toBe(await text({}));
  });

  test("max_tokens and max_completion_tokens cut it with `length`", async () => {
    for (const key of ["max_tokens", "max_completion_tokens"]) {
      const answer = await whole({ [key]: 3 });
      expect([answer.choices[0]!.finish_reason, answer.usage.completion_tokens]).toEqual(["length", 3]);
      expect(encode(textOf(answer))).toHaveLength(3);
    }
  });

  test("verbosity and the length asked of the simulator are obeyed", async () => {
    const tokens = async (body: Body) => (await whole(body)).usage.completion_tokens;
    expect(await tokens({ verbosity: "low" })).toBeLessThan(await tokens({ verbosity: "high" }));
    expect(await tokens({ x_simulate: { tokens: 500 } })).toBe(500);
    expect(await tokens({ x_simulate: { tokens: 0 } })).toBe(0);
  });

  test("n answers differ, except at temperature 0", async () => {
    const texts = (answer: Whole) => new Set(answer.choices.map((choice) => choice.message.content));
    expect(texts(await whole({ n: 5 })).size).toBe(5);
    expect(texts(await whole({ n: 5, temperature: 0 })).size).toBe(1);
  });

  test("a stop string ends it and is not in it, also as one of a list", async () => {
    const full = textOf(await whole({}));
    const stop = full.slice(9, 16);
    const answer = await whole({ stop: ["never in there", stop] });
    expect(textOf(answer)).toBe(full.slice(0, full.indexOf(stop)));
    expect(answer.choices[0]!.finish_reason).toBe("stop");
  });
});

test("whatever is asked for, streamed and whole say the same, and every stream is one that all SDKs can read", async () => {
  const part = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: undefined });
  const asked = fc.record({
    model: fc.constantFrom("m", "thinker"),
    messages: fc.constantFrom(
      user("Hello there"),
      user("Weather in Paris and Tokyo in celsius?"),
      user("Grüße 👩‍👩‍👧 naïve 漢字 \ud800"),
    ),
    n: part(fc.integer({ min: 1, max: 4 })),
    seed: part(fc.nat(100)),
    temperature: part(fc.constantFrom(0, 1)),
    max_tokens: part(fc.integer({ min: 1, max: 60 })),
    stop: part(fc.constantFrom("a", [" s", "ted"], ".", "zzz", "celsius")),
    logprobs: part(fc.boolean()),
    presence_penalty: part(fc.constantFrom(0, 2)),
    tools: part(fc.constant([weather])),
    response_format: part(fc.constant({ type: "json_object" })),
    stream_options: part(fc.constant({ include_usage: true, include_obfuscation: true })),
  });
  await fc.assert(
    fc.asyncProperty(asked, async (body) => {
      const stream = await streamed(body);
      const answer = await whole({ ...body, stream_options: undefined });
      for (const [index, { message, finish_reason, logprobs }] of answer.choices.entries()) {
        const choice = stream.choices[index]!;
        const calls = choice.calls.map(({ name, arguments: text }) => ({ name, arguments: text }));
        expect(choice.finish).toBe(finish_reason);
        expect(calls).toEqual(message.tool_calls?.map((call) => call.function) ?? []);
        if (calls.length === 0) expect(choice.content).toBe(message.content);
        expect(choice.reasoning).toBe(message.reasoning_content ?? "");
        expect(choice.logprobs).toEqual(logprobs?.content ?? []);
      }
      if (body.stream_options) {
        const { prompt_tokens, completion_tokens } = answer.usage;
        expect(stream.usage).toMatchObject({ prompt_tokens, completion_tokens });
      }
    }),
    { numRuns: 200 },
  );
});

describe("tokens", () => {
  test("log-probabilities: one entry per token, the chosen one first, of one distribution, with its bytes", async () => {
    const answer = await whole({ logprobs: true, top_logprobs: 5 });
    const entries = answer.choices[0]!.logprobs!.content;
    expect(entries.map((entry) => entry.token).join("")).toBe(textOf(answer));
    expect(entries.length).toBe(answer.usage.completion_tokens);
    for (const { token, logprob, bytes, top_logprobs } of entries) {
      expect(Buffer.from(bytes).toString()).toBe(token);
      expect(top_logprobs).toHaveLength(5);
      expect(top_logprobs[0]).toEqual({ token, logprob, bytes });
      expect(new Set(top_logprobs.map((top) => top.token)).size).toBe(5);
      const sum = top_logprobs.reduce((total, top) => total + Math.exp(top.logprob), 0);
      expect(sum).toBeLessThanOrEqual(1);
      expect(logprob).toBeLessThan(0);
    }
    expect((await whole({ logprobs: true })).choices[0]!.logprobs!.content[0]!.top_logprobs).toEqual([]);
    expect((await whole({})).choices[0]!.logprobs).toBeUndefined();
  });

  test("logit_bias bans a token at -100, and lets nothing else come at 100", async () => {
    const first = encode(textOf(await whole({})))[0]!;
    const banned = await whole({ logit_bias: { [first]: -100 }, logprobs: true, top_logprobs: 20 });
    const entries = banned.choices[0]!.logprobs!.content;
    for (const entry of entries) expect(encode(entry.token)).not.toEqual([first]);

    const [forced] = encode(" ox") as [number];
    const answer = await whole({ logit_bias: { [forced]: 100 }, max_tokens: 5 });
    expect(textOf(answer)).toBe(" ox ox ox ox ox");
    expect(await refusal({ logit_bias: { word: 1 } })).toEqual([400, "invalid_value", "logit_bias"]);
  });

  test("penalties make words come back less often", async () => {
    const repeats = async (body: Body) => {
      const entries = (await whole({ x_simulate: { tokens: 300 }, logprobs: true, ...body })).choices[0]!.logprobs!
        .content;
      return entries.length - new Set(entries.map((entry) => entry.token)).size;
    };
    const plain = await repeats({});
    expect(await repeats({ frequency_penalty: 2 })).toBeLessThan(plain);
    expect(await repeats({ presence_penalty: 2 })).toBeLessThan(plain);
  });

  test("a prompt seen before comes from the prefix cache, in whole blocks, for one model", async () => {
    const handle = createSimulator(config());
    const body = { messages: user("word ".repeat(40)) };
    const first = await whole(body, handle);
    const second = await whole(body, handle);
    const { prompt_tokens, prompt_tokens_details } = second.usage;
    expect(first.usage.prompt_tokens_details.cached_tokens).toBe(0);
    expect(prompt_tokens_details.cached_tokens).toBe(Math.floor((prompt_tokens - 1) / 16) * 16);
    expect((await whole({ ...body, model: "thinker" }, handle)).usage.prompt_tokens_details.cached_tokens).toBe(0);
    expect((await whole({ ...body, cache_salt: "x" }, handle)).usage.prompt_tokens_details.cached_tokens).toBe(0);
  });

  test("what does not fit into the context is refused in the words that agents look for", async () => {
    const tooLong = { model: "small", messages: user("many words ".repeat(50)) };
    expect(await refusal(tooLong)).toEqual([400, "context_length_exceeded", "messages"]);
    expect(refusalText).toMatch(
      /^This model's maximum context length is 64 tokens\. However, your messages resulted in \d+ tokens\./,
    );
    await refusal({ model: "small", max_tokens: 64 });
    expect(refusalText).toContain("in the completion");
    const answer = await whole({ model: "small", x_simulate: { tokens: 1000 } });
    expect([answer.choices[0]!.finish_reason, answer.usage.total_tokens]).toEqual(["length", 64]);
  });
});

describe("reasoning", () => {
  const thoughts = async (body: Body) =>
    (await whole({ model: "thinker", ...body })).usage.completion_tokens_details.reasoning_tokens;

  test("a reasoning model thinks beside its content, as long as it is told to", async () => {
    const answer = await whole({ model: "thinker" });
    const { reasoning_content, content } = answer.choices[0]!.message;
    expect(reasoning_content).toStartWith("Simulated reasoning.");
    expect(content).not.toContain("Simulated reasoning.");
    expect(encode(reasoning_content!)).toHaveLength(answer.usage.completion_tokens_details.reasoning_tokens);
    const lengths = await Promise.all(
      ["none", "minimal", "low", "medium", "high", "xhigh", "max"].map((reasoning_effort) =>
        thoughts({ reasoning_effort }),
      ),
    );
    expect(lengths[0]).toBe(0);
    expect(lengths).toEqual(lengths.toSorted((a, b) => a - b));
    expect(new Set(lengths).size).toBe(7);
  });

  test("a small limit still leaves room for an answer", async () => {
    const answer = await whole({ model: "thinker", max_tokens: 4 });
    expect([answer.usage.completion_tokens, answer.usage.completion_tokens_details.reasoning_tokens]).toEqual([4, 2]);
  });

  test("a model that does not reason refuses to be told how much", async () => {
    expect(await refusal({ reasoning_effort: "low" })).toEqual([400, "unsupported_parameter", "reasoning_effort"]);
  });
});

describe("tools", () => {
  const ask = (content: string, more: Body = {}) => whole({ messages: user(content), tools: [weather], ...more });

  test("a question that speaks of a tool calls it with what it names", async () => {
    const answer = await ask("What is the weather in Tokyo?");
    expect(callsOf(answer)).toEqual([["get_weather", { location: "Tokyo" }]]);
    expect(answer.choices[0]).toMatchObject({ finish_reason: "tool_calls", message: { content: null } });
    expect(callsOf(await ask("weather in san francisco, in fahrenheit"))).toEqual([
      ["get_weather", { location: "san", unit: "fahrenheit" }],
    ]);
  });

  test("instructions that name the tool are enough when the question names something", async () => {
    const messages = [
      {
        role: "system",
        content: "You are a concise travel assistant. Use the get_weather tool when asked about weather.",
      },
      ...user("Is it warm in Barcelona right now?"),
    ];
    expect(callsOf(await ask("", { messages }))).toEqual([["get_weather", { location: "Barcelona" }]]);
  });

  test("two names make two calls, unless parallel calls are off", async () => {
    const calls = (more?: Body) => ask("What's the weather in Paris and Tokyo?", more).then(callsOf);
    expect(await calls()).toEqual([
      ["get_weather", { location: "Paris" }],
      ["get_weather", { location: "Tokyo" }],
    ]);
    expect(await calls({ parallel_tool_calls: false })).toEqual([["get_weather", { location: "Paris" }]]);
  });

  test("a tool that takes two names is called once with both, two tools once each", async () => {
    const string = { type: "string" };
    const tool = (name: string, properties: Body) => ({
      type: "function",
      function: { name, parameters: { type: "object", properties, required: Object.keys(properties) } },
    });
    const flight = tool("find_flight", { from: string, to: string });
    expect(callsOf(await ask("Find a flight from Paris to Tokyo", { tools: [flight] }))).toEqual([
      ["find_flight", { from: "Paris", to: "Tokyo" }],
    ]);
    const add = tool("add", { a: { type: "number" }, b: { type: "number" } });
    expect(callsOf(await ask("Please add 2 and 3.5", { tools: [add] }))).toEqual([["add", { a: 2, b: 3.5 }]]);
    const time = tool("get_time", { city: string });
    expect(callsOf(await ask("Time in Oslo and weather in Rome?", { tools: [weather, time] }))).toEqual([
      ["get_time", { city: "Oslo" }],
      ["get_weather", { location: "Rome" }],
    ]);
  });

  test("small talk calls nothing, and neither does `none`; `required` and a name always do", async () => {
    expect(callsOf(await ask("Hello, who are you?"))).toEqual([]);
    expect(callsOf(await ask("What is the weather in Tokyo?", { tool_choice: "none" }))).toEqual([]);
    const required = await ask("Hello!", { tool_choice: "required" });
    expect([required.choices[0]!.finish_reason, callsOf(required).length]).toEqual(["tool_calls", 1]);
    const named = await ask("Hello!", { tool_choice: { type: "function", function: { name: "get_weather" } } });
    expect([named.choices[0]!.finish_reason, callsOf(named).length]).toEqual(["stop", 1]);
  });

  test("allowed_tools leaves only those", async () => {
    const other = { type: "function", function: { name: "other" } };
    const allowed_tools = { mode: "required", tools: [{ type: "function", function: { name: "other" } }] };
    const answer = await ask("Weather in Rome?", {
      tools: [weather, other],
      tool_choice: { type: "allowed_tools", allowed_tools },
    });
    expect(callsOf(answer)).toEqual([["other", {}]]);
  });

  test("results of tools are answered with a text that holds them", async () => {
    const call = (id: string) => ({ id, type: "function", function: { name: "get_weather", arguments: "{}" } });
    const messages = [
      ...user("Weather in Paris and Tokyo?"),
      { role: "assistant", content: null, tool_calls: [call("a"), call("b")] },
      { role: "tool", tool_call_id: "b", content: '{"temperature": 22}' },
      { role: "tool", tool_call_id: "a", content: "rain" },
    ];
    const answer = await ask("", { messages });
    expect(callsOf(answer)).toEqual([]);
    expect(textOf(answer)).toContain(
      'The result of get_weather is: {"temperature": 22} The result of get_weather is: rain',
    );
  });

  test("the older functions are answered with function_call", async () => {
    const body = { tools: undefined, functions: [weather.function] };
    const answer = await ask("Weather in Rome?", body);
    expect(answer.choices[0]).toMatchObject({
      finish_reason: "function_call",
      message: { content: null, function_call: { name: "get_weather", arguments: '{"location":"Rome"}' } },
    });
    const { choices } = await streamed({ messages: user("Weather in Rome?"), ...body });
    expect(choices[0]!.functionCall).toEqual({ name: "get_weather", arguments: '{"location":"Rome"}' });
    expect((await ask("Hi", { ...body, function_call: { name: "get_weather" } })).choices[0]!.finish_reason).toBe(
      "stop",
    );
  });

  test("a schema of parameters that nothing meets is an error that says so", async () => {
    const impossible = {
      type: "function",
      function: { name: "f", parameters: { type: "object", required: ["x"], properties: { x: false } } },
    };
    expect(await refusal({ tools: [impossible], tool_choice: "required" })).toEqual([400, "invalid_schema", "tools"]);
  });
});

describe("JSON", () => {
  test("json_schema is met, with the names of the text where they fit", async () => {
    const string = { type: "string" };
    const schema = {
      type: "object",
      properties: { name: string, date: string, participants: { type: "array", items: string } },
      required: ["name", "date", "participants"],
      additionalProperties: false,
    };
    const answer = await whole({
      messages: user("Alice and Bob are going to a science fair on Friday."),
      response_format: { type: "json_schema", json_schema: { name: "event", strict: true, schema } },
    });
    expect(JSON.parse(textOf(answer))).toMatchObject({
      name: "Alice",
      date: "Friday",
      participants: expect.any(Array),
    });
  });

  test("json_object is an object, with the keys that the text asks for", async () => {
    const ask = async (content: string) =>
      JSON.parse(textOf(await whole({ messages: user(content), response_format: { type: "json_object" } })));
    expect(await ask("Answer in JSON.")).toMatchObject({ simulated: true });
    expect(Object.keys(await ask("Give me JSON with keys name, age and city."))).toEqual(["name", "age", "city"]);
  });

  test("a schema that nothing meets is an error that says so", async () => {
    const response_format = {
      type: "json_schema",
      json_schema: { name: "no", schema: { type: "object", required: ["x"], properties: { x: false } } },
    };
    expect(await refusal({ response_format })).toEqual([400, "invalid_schema", "response_format"]);
  });
});

describe("attachments", () => {
  const png = Buffer.concat([
    Buffer.from("89504e470d0a1a0a0000000d49484452", "hex"),
    Buffer.from([0, 0, 2, 128, 0, 0, 1, 224]),
  ]);
  const image = (url: string) =>
    user([
      { type: "text", text: "Look" },
      { type: "image_url", image_url: { url } },
    ]);

  test("an image is described by its header, an address is not fetched", async () => {
    const data = `data:image/png;base64,${png.toString("base64")}`;
    expect(textOf(await whole({ messages: image(data) }))).toContain(
      "A PNG image of 640x480 pixels (24 bytes) was given.",
    );
    expect(textOf(await whole({ messages: image("https://example.com/a.png") }))).toContain("does not fetch addresses");
  });

  test("what is no base64 is refused, and so is an image for a model that cannot see", async () => {
    const param = "messages[0].content[1].image_url.url";
    expect(await refusal({ messages: image("data:image/png;base64,***") })).toEqual([400, "invalid_value", param]);
    expect(await refusal({ model: "small", messages: image("https://example.com/a.png") })).toEqual([
      400,
      "unsupported_value",
      param.replace("image_url.url", "type"),
    ]);
  });
});

describe("refusals", () => {
  test("unknown models, models of another kind, unknown paths and methods", async () => {
    expect(await refusal({ model: "nope" })).toEqual([404, "model_not_found", "model"]);
    expect(await refusal({ model: "vectors" })).toEqual([400, "unsupported_value", "model"]);
    expect(await refusal({ model: 5 })).toEqual([400, "invalid_type", "model"]);
    expect(await refusal({ web_search_options: {} })).toEqual([400, "unsupported_parameter", "web_search_options"]);
    expect((await send({}, {}, "/v1/moderations")).status).toBe(404);
    const wrong = await handler(new Request("http://worker/v1/chat/completions"));
    expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "POST"]);
  });

  test("the list of models holds those of the config and those that fail on purpose, not the aliases", async () => {
    const response = await handler(new Request("http://worker/v1/models"));
    const { data } = (await response.json()) as { data: { id: string }[] };
    const ids = data.map((each) => each.id);
    expect(ids).toContain("m");
    expect(ids).toContain("fault-429-once");
    expect(ids).not.toContain("m-alias");
  });
});

test("a caller who asks for the token counts finds them behind [DONE]", async () => {
  const body = { model: "m", messages: user("Hello"), stream: true, stream_options: { include_usage: true } };
  const completion = { model: "m", prompt: "Hello", stream: true, stream_options: { include_usage: true } };
  for (const [asked, path] of [
    [body, "/v1/chat/completions"],
    [completion, "/v1/completions"],
  ] as const) {
    const told = await send(asked, { "x-oxbow-usage": "1" }, path);
    expect(told.headers.get("x-oxbow-usage")).toBe("1");
    const [, usage, counts] = /"usage":(\{.*\})\}\n\ndata: \[DONE\]\n\n: usage (.*)\n$/.exec(await told.text())!;
    expect(JSON.parse(usage!)).toMatchObject(JSON.parse(counts!));
    expect(JSON.parse(counts!).completion_tokens).toBeGreaterThan(0);
    expect(await (await send(asked, {}, path)).text()).toEndWith("data: [DONE]\n\n");
  }
});
