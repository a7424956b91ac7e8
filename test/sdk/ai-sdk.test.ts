// The AI SDK with both of its providers for this wire: OpenAI's own, on the chat endpoint, and the one for everybody else.

import { describe, expect, test } from "bun:test";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateObject, generateText, type LanguageModel, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { KEY } from "../harness.ts";
import { HELLO, MODEL, TWO_CITIES, testTraffic, useServer } from "../suite.ts";

const server = useServer();

const PROVIDERS: [name: string, model: (id?: string) => LanguageModel][] = [
  ["@ai-sdk/openai", (id = MODEL) => createOpenAI({ baseURL: server().baseUrl, apiKey: KEY }).chat(id)],
  [
    "@ai-sdk/openai-compatible",
    (id = MODEL) =>
      createOpenAICompatible({
        name: "oxbow",
        baseURL: server().baseUrl,
        apiKey: KEY,
        includeUsage: true,
        supportsStructuredOutputs: true,
      }).chatModel(id),
  ],
];

const City = z.object({ name: z.string(), population: z.number(), climate: z.enum(["mild", "hot"]) });

describe.each(PROVIDERS)("%s", (_, model) => {
  test("generateText", async () => {
    const { text, finishReason, usage } = await generateText({ model: model(), messages: HELLO });
    expect(text).toBeTruthy();
    expect(finishReason).toBe("stop");
    expect(usage.outputTokens).toBeGreaterThan(0);
  });

  test("streamText", async () => {
    const stream = streamText({ model: model(), messages: HELLO, seed: 1, temperature: 0 });
    const pieces = await Array.fromAsync(stream.textStream);
    expect(pieces.length).toBeGreaterThan(2);
    expect(await stream.finishReason).toBe("stop");
    expect((await stream.usage).inputTokens).toBeGreaterThan(0);
    const { text } = await generateText({ model: model(), messages: HELLO, seed: 1, temperature: 0 });
    expect(pieces.join("")).toBe(text);
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

  test("tools in several steps", async () => {
    const asked: string[] = [];
    const { text, steps } = await generateText({
      model: model(),
      messages: TWO_CITIES,
      tools: weather(asked),
      stopWhen: stepCountIs(4),
    });
    expect(asked.sort()).toEqual(["Paris", "Tokyo"]);
    expect(steps).toHaveLength(2);
    expect(text).toContain("23 degrees");
  });

  test("tools in several steps, streamed", async () => {
    const asked: string[] = [];
    const stream = streamText({
      model: model(),
      messages: TWO_CITIES,
      tools: weather(asked),
      stopWhen: stepCountIs(4),
    });
    expect(await stream.text).toContain("23 degrees");
    expect(asked.sort()).toEqual(["Paris", "Tokyo"]);
  });

  test("generateObject", async () => {
    const { object } = await generateObject({ model: model(), messages: HELLO, schema: City });
    expect(() => City.parse(object)).not.toThrow();
  });

  test("an error keeps its words", async () => {
    await expect(generateText({ model: model("no-such-model"), messages: HELLO, maxRetries: 0 })).rejects.toThrow(
      /`no-such-model` does not exist/,
    );
  });

  test("429 is retried", async () => {
    server().assertTraffic();
    server().tap.clear();
    await expect(generateText({ model: model("fault-429"), messages: HELLO, maxRetries: 1 })).rejects.toThrow(
      /Please try again in 1\.35s/,
    );
    expect(server().tap.exchanges()).toHaveLength(2);
    const { text } = await generateText({ model: model(), messages: HELLO });
    expect(text).toBeTruthy();
  });

  test("an error inside a stream reaches the reader", async () => {
    const errors: unknown[] = [];
    const onError = ({ error }: { error: unknown }) => void errors.push(error);
    const stream = streamText({ model: model("fault-midstream"), messages: HELLO, maxRetries: 0, onError });
    await stream.consumeStream();
    expect(errors.length).toBeGreaterThan(0);
  });
});

testTraffic(server);
