// The official Node client on the Responses API: whole, streamed, its helpers, tools round trips, and what needs a store.

import { expect, test } from "bun:test";
import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import type { FunctionTool, ResponseInput, ResponseStreamEvent } from "openai/resources/responses/responses";
import { z } from "zod";
import { eventually, KEY } from "../harness.ts";
import { HELLO, MODEL, TWO_CITIES, testTraffic, useServer, WEATHER } from "../suite.ts";

const server = useServer();
const client = () => new OpenAI({ baseURL: server().baseUrl, apiKey: KEY, maxRetries: 0 });
const base = { model: MODEL, input: "Say hello in one sentence." };
const TOOL: FunctionTool = { type: "function", ...WEATHER.function, strict: null };
/** A model of the catalogue that reasons. */
const REASONING = "gpt-oss-120b";

const callsOf = ({ output }: OpenAI.Responses.Response) => output.filter((item) => item.type === "function_call");
const locationsOf = (calls: { arguments: string }[]) => calls.map((call) => JSON.parse(call.arguments).location).sort();

async function failure(call: PromiseLike<unknown>): Promise<unknown> {
  return call.then(
    () => null,
    (reason: unknown) => reason,
  );
}

test("a whole answer", async () => {
  const { data: answer, response } = await client().responses.create(base).withResponse();
  expect(answer).toMatchObject({ object: "response", status: "completed", model: MODEL, store: false, error: null });
  expect(answer.output_text).toContain("Say hello");
  expect(answer.usage!.total_tokens).toBe(answer.usage!.input_tokens + answer.usage!.output_tokens);
  expect(Math.abs(answer.created_at - Date.now() / 1000)).toBeLessThan(60);
  expect(response.headers.get("x-oxbow-simulated")).toBe("true");
});

test("it says what the chat endpoint says", async () => {
  const chat = await client().chat.completions.create({ model: MODEL, messages: HELLO, temperature: 0 });
  const answer = await client().responses.create({ model: MODEL, input: HELLO, temperature: 0 });
  expect(answer.output_text).toBe(chat.choices[0]!.message.content!);
  expect(answer.usage!.input_tokens).toBe(chat.usage!.prompt_tokens);
});

test("a stream, and the same through the helper", async () => {
  const events: ResponseStreamEvent[] = await Array.fromAsync(
    await client().responses.create({ ...base, temperature: 0, stream: true }),
  );
  const text = events.map((event) => (event.type === "response.output_text.delta" ? event.delta : "")).join("");
  const helper = client().responses.stream({ ...base, temperature: 0 });
  let heard = "";
  helper.on("response.output_text.delta", ({ delta }) => {
    heard += delta;
  });
  const final = await helper.finalResponse();
  const whole = await client().responses.create({ ...base, temperature: 0 });
  expect([text, heard, final.output_text]).toEqual(Array(3).fill(whole.output_text));
  expect(final.usage).toEqual(whole.usage!);
  expect(events.at(-1)).toMatchObject({ type: "response.completed" });
});

test("a limit makes the answer incomplete", async () => {
  for (const answer of [
    await client().responses.create({ ...base, max_output_tokens: 16 }),
    await client()
      .responses.stream({ ...base, max_output_tokens: 16 })
      .finalResponse(),
  ]) {
    expect(answer).toMatchObject({ status: "incomplete", incomplete_details: { reason: "max_output_tokens" } });
    expect(answer.usage!.output_tokens).toBe(16);
  }
});

const City = z.object({ name: z.string(), population: z.number().int(), climate: z.enum(["mild", "hot"]) });

test("a schema from zod is parsed into a value, whole and streamed", async () => {
  const text = { format: zodTextFormat(City, "city") };
  const answer = await client().responses.parse({ ...base, text });
  expect(() => City.parse(answer.output_parsed)).not.toThrow();
  const final = await client()
    .responses.stream({ ...base, text })
    .finalResponse();
  expect(() => City.parse(final.output_parsed)).not.toThrow();
  const object = await client().responses.create({ ...base, text: { format: { type: "json_object" } } });
  expect(typeof JSON.parse(object.output_text)).toBe("object");
});

test.each([false, true])("a round trip with two parallel calls, streamed: %p", async (streamed) => {
  const ask = async (input: ResponseInput) => {
    const call = { model: MODEL, input, tools: [TOOL] };
    return streamed ? client().responses.stream(call).finalResponse() : client().responses.create(call);
  };
  const first = await ask(TWO_CITIES);
  const calls = callsOf(first);
  expect(first.status).toBe("completed");
  expect(locationsOf(calls)).toEqual(["Paris", "Tokyo"]);
  expect(calls.every(({ id, call_id }) => id!.startsWith("fc_") && call_id.startsWith("call_"))).toBe(true);
  const results = calls.toReversed().map(({ call_id }) => ({
    type: "function_call_output" as const,
    call_id,
    output: '{"temperature":"23 degrees"}',
  }));
  // The output of one answer is input of the next, as it is: the SDK's own recipe.
  const final = await ask([...TWO_CITIES, ...(first.output as ResponseInput), ...results]);
  expect(final.output_text).toContain("23 degrees");
});

test("tool choices and parallel_tool_calls are obeyed", async () => {
  const input = TWO_CITIES;
  const count = async (fields: object) =>
    callsOf(await client().responses.create({ model: MODEL, input, tools: [TOOL], ...fields })).length;
  expect(await count({ tool_choice: "none" })).toBe(0);
  expect(await count({ parallel_tool_calls: false })).toBe(1);
  expect(await count({ tool_choice: { type: "function", name: "get_weather" }, input: "Hi" })).toBe(1);
  const allowed = { type: "allowed_tools", mode: "required", tools: [{ type: "function", name: "get_weather" }] };
  expect(await count({ tool_choice: allowed, input: "Hi" })).toBe(1);
});

test("reasoning is an item of its own, as text or as summary, and goes back with the next call", async () => {
  const call = { ...base, model: REASONING, reasoning: { effort: "low" as const } };
  const plain = await client().responses.create(call);
  const [thought, said] = plain.output;
  expect(thought).toMatchObject({ type: "reasoning", summary: [], content: [{ type: "reasoning_text" }] });
  expect(said!.type).toBe("message");
  expect(plain.usage!.output_tokens_details.reasoning_tokens).toBeGreaterThan(0);
  const summarised = await client()
    .responses.stream({ ...call, reasoning: { effort: "low", summary: "auto" } })
    .finalResponse();
  expect(summarised.output[0]).toMatchObject({ type: "reasoning", summary: [{ type: "summary_text" }] });
  const input = [...HELLO, ...(plain.output as ResponseInput), { role: "user" as const, content: "And now?" }];
  expect((await client().responses.create({ model: REASONING, input })).status).toBe("completed");
});

test("log-probabilities come with the text", async () => {
  const fields = { include: ["message.output_text.logprobs" as const], top_logprobs: 2 };
  for (const answer of [
    await client().responses.create({ ...base, ...fields }),
    await client()
      .responses.stream({ ...base, ...fields })
      .finalResponse(),
  ]) {
    const [message] = answer.output;
    const part = message?.type === "message" ? message.content[0] : null;
    const logprobs = part?.type === "output_text" ? part.logprobs! : [];
    expect(logprobs.map(({ token }) => token).join("")).toBe(answer.output_text);
    expect(logprobs[0]!.top_logprobs).toHaveLength(2);
  }
});

test("a picture is seen by models that see, and refused by name for others", async () => {
  const image_url =
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
  const content = [
    { type: "input_text" as const, text: "What is this?" },
    { type: "input_image" as const, image_url, detail: "auto" as const },
  ];
  const input = [{ role: "user" as const, content }];
  const { data } = await client().models.list();
  const able = (data as unknown as { id: string; capabilities: string[] }[]).find(({ capabilities }) =>
    capabilities.includes("vision"),
  );
  const answer = await client().responses.create({ model: able!.id, input });
  expect(answer.output_text).toMatch(/1.?[x×].?1/);
  const param = "input[0].content[1].type";
  expect(await failure(client().responses.create({ model: "tiny", input }))).toMatchObject({ status: 400, param });
});

test("errors name the fields of this API, also when an engine finds them", async () => {
  const create = (fields: object) => failure(client().responses.create({ ...base, ...fields }));
  expect(await create({ max_output_tokens: 1 })).toMatchObject({ status: 400, param: "max_output_tokens" });
  expect(await create({ model: "no-such" })).toMatchObject({ status: 404, code: "model_not_found" });
  expect(await create({ model: "fault-context" })).toMatchObject({
    code: "context_length_exceeded",
    param: "input",
    message: expect.stringContaining("Your input exceeds the context window"),
  });
  const format = { type: "json_schema", name: "a", strict: true, schema: { $ref: "#/$defs/nowhere" } };
  for (const model of [MODEL, "tiny"]) {
    const error = (await create({ model, text: { format } })) as { code: string; param: string };
    expect(error.code).toBe("invalid_schema");
    expect(error.param).toStartWith("text.format");
  }
  expect(await create({ model: "fault-429" })).toBeInstanceOf(OpenAI.RateLimitError);
});

test.each(["interrupt", "reset"])(
  "an engine that fails in the middle (%s): a failed response, with what was said",
  async (kind) => {
    const headers = { "x-simulate": JSON.stringify({ itlMs: 20, fault: { kind, afterTokens: 5 } }) };
    const stream = await client().responses.create({ ...base, stream: true }, { headers });
    const events = await Array.fromAsync(stream);
    const text = events.map((event) => (event.type === "response.output_text.delta" ? event.delta : "")).join("");
    const { response } = events.at(-1) as OpenAI.Responses.ResponseFailedEvent;
    expect(response).toMatchObject({ status: "failed", error: { code: "server_error" } });
    expect(text).not.toBe("");
    expect(response.output).toMatchObject([{ type: "message", status: "incomplete", content: [{ text }] }]);
    const helper = client().responses.stream(base, { headers });
    expect((await helper.finalResponse()).status).toBe("failed");
  },
);

test("what needs a store is refused, or not found", async () => {
  const create = (fields: object) => failure(client().responses.create({ ...base, ...fields }));
  expect(await create({ previous_response_id: "resp_1" })).toMatchObject({
    status: 400,
    code: "previous_response_not_found",
    param: "previous_response_id",
  });
  expect(await create({ background: true })).toMatchObject({ code: "unsupported_parameter", param: "background" });
  const { responses } = client();
  for (const call of [
    () => responses.retrieve("resp_1"),
    () => responses.delete("resp_1"),
    () => responses.cancel("resp_1"),
    () => responses.inputItems.list("resp_1"),
  ]) {
    expect(await failure(call())).toBeInstanceOf(OpenAI.NotFoundError);
  }
  expect(await failure(client().post("/responses/compact", { body: {} }))).toMatchObject({ code: "unknown_url" });
});

test("hanging up in the middle of streams gives their slots back", async () => {
  const headers = { "x-simulate": JSON.stringify({ tokens: 2_000, itlMs: 20 }) };
  for (let round = 0; round < 3; round++) {
    await Promise.all(
      Array.from({ length: 100 }, async () => {
        const stream = await client().responses.create({ ...base, stream: true }, { headers });
        for await (const { type } of stream) if (type === "response.output_text.delta") break;
      }),
    );
  }
  // 300 endless streams on 256 slots: had any slot been kept, this one would wait.
  await eventually(async () => (await client().responses.create(base)).status === "completed", "a free slot");
});

testTraffic(server);
