// The AI SDK on the Responses API, which is what its OpenAI provider uses unless told otherwise. It refers to stored items
// by default: `store: false` makes it send them.

import { expect, test } from "bun:test";
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { KEY } from "../harness.ts";
import { HELLO, MODEL, TWO_CITIES, testTraffic, useServer } from "../suite.ts";

const server = useServer();
const model = (id = MODEL) => createOpenAI({ baseURL: server().baseUrl, apiKey: KEY })(id);
const providerOptions = { openai: { store: false } };

test("generateText and streamText", async () => {
  const call = { model: model(), messages: HELLO, temperature: 0 };
  const { text, finishReason, usage } = await generateText(call);
  expect(finishReason).toBe("stop");
  expect(usage.outputTokens).toBeGreaterThan(0);
  const stream = streamText(call);
  const pieces = await Array.fromAsync(stream.textStream);
  expect(pieces.length).toBeGreaterThan(2);
  expect(pieces.join("")).toBe(text);
  expect((await stream.usage).inputTokens).toBe(usage.inputTokens!);
  expect(await streamText({ ...call, maxOutputTokens: 16 }).finishReason).toBe("length");
});

const weather = (asked: string[]) => ({
  get_weather: tool({
    description: "Get the weather for a location",
    inputSchema: z.object({ location: z.string() }),
    execute: async ({ location }) => {
      asked.push(location);
      return { location, temperature: "23 degrees" };
    },
  }),
});

test.each([false, true])("tools in several steps, streamed: %p", async (streamed) => {
  const asked: string[] = [];
  const call = {
    model: model(),
    messages: TWO_CITIES,
    tools: weather(asked),
    stopWhen: stepCountIs(4),
    providerOptions,
  };
  const text = streamed ? await streamText(call).text : (await generateText(call)).text;
  expect(asked.sort()).toEqual(["Paris", "Tokyo"]);
  expect(text).toContain("23 degrees");
});

test("a second turn, which refers to stored items unless told not to", async () => {
  const first = await generateText({ model: model(), messages: HELLO });
  const messages = [...HELLO, ...first.response.messages, { role: "user" as const, content: "And now?" }];
  const call = { model: model(), messages, maxRetries: 0 };
  const error = await generateText(call).then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(APICallError);
  expect(error).toMatchObject({ statusCode: 404, message: expect.stringContaining("'store' set to false") });
  expect((await generateText({ ...call, providerOptions })).text).toBeTruthy();
});

test("an object of a schema", async () => {
  const schema = z.object({ name: z.string(), population: z.number() });
  const { output } = await generateText({ model: model(), messages: HELLO, output: Output.object({ schema }) });
  expect(() => schema.parse(output)).not.toThrow();
});

test("reasoning summaries reach the application", async () => {
  const options = { openai: { store: false, reasoningSummary: "auto", forceReasoning: true } };
  const call = { model: model("gpt-oss-120b"), messages: HELLO, providerOptions: options };
  const { reasoningText, text } = await generateText(call);
  expect(reasoningText).toBeTruthy();
  const stream = streamText(call);
  expect(await stream.reasoningText).toBe(reasoningText!);
  expect(await stream.text).toBe(text);
});

test("a stream that fails in the middle ends with an error", async () => {
  const headers = { "x-simulate": JSON.stringify({ itlMs: 20, fault: { kind: "interrupt", afterTokens: 5 } }) };
  const parts = await Array.fromAsync(
    streamText({ model: model(), messages: HELLO, headers, maxRetries: 0, onError: () => {} }).fullStream,
  );
  expect(parts.some(({ type }) => type === "error")).toBe(true);
});

testTraffic(server);
