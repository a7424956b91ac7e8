// LangChain.js: its chat model, which does its own retries and reads a 429 in its own way.

import { expect, test } from "bun:test";
import { HumanMessage, ToolMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { z } from "zod";
import { KEY } from "../harness.ts";
import { HELLO, MODEL, testTraffic, useServer } from "../suite.ts";

const server = useServer();
const model = (fields: object = {}) =>
  new ChatOpenAI({ model: MODEL, apiKey: KEY, configuration: { baseURL: server().baseUrl }, maxRetries: 0, ...fields });
const hello = HELLO[0]!.content;

test("invoke", async () => {
  const answer = await model().invoke(hello);
  expect(answer.text).toBeTruthy();
  expect(answer.usage_metadata!.output_tokens).toBeGreaterThan(0);
  expect(answer.response_metadata.finish_reason).toBe("stop");
});

test("stream", async () => {
  const chunks = await Array.fromAsync(await model({ modelKwargs: { seed: 1 }, temperature: 0 }).stream(hello));
  const whole = await model({ modelKwargs: { seed: 1 }, temperature: 0 }).invoke(hello);
  expect(chunks.map((chunk) => chunk.text).join("")).toBe(whole.text);
  expect(chunks.find((chunk) => chunk.usage_metadata)!.usage_metadata!.input_tokens).toBeGreaterThan(0);
});

const weather = tool(({ location }: { location: string }) => `${location}: 23 degrees`, {
  name: "get_weather",
  description: "Get the weather for a location",
  schema: z.object({ location: z.string() }),
});

test("bound tools, whole and streamed, and a round trip", async () => {
  const bound = model().bindTools([weather]);
  const question = new HumanMessage("What is the weather in Paris and in Tokyo? Use get_weather.");
  const first = await bound.invoke([question]);
  expect(first.tool_calls!.map((call) => call.args.location).sort()).toEqual(["Paris", "Tokyo"]);
  expect(first.invalid_tool_calls).toEqual([]);
  const results = await Promise.all(first.tool_calls!.map((call) => weather.invoke(call) as Promise<ToolMessage>));
  expect(results[0]).toBeInstanceOf(ToolMessage);
  expect((await bound.invoke([question, first, ...results])).text).toContain("23 degrees");

  const [head, ...rest] = await Array.fromAsync(await bound.stream([question]));
  const all = rest.reduce((sum, chunk) => sum.concat(chunk), head!);
  expect(all.tool_calls!.map((call) => call.args.location).sort()).toEqual(["Paris", "Tokyo"]);
});

test.each(["jsonSchema", "functionCalling", "jsonMode"] as const)("structured output by %s", async (method) => {
  const City = z.object({ name: z.string(), population: z.number() });
  // In JSON mode the shape is the prompt's affair alone: any object will do here.
  const schema = method === "jsonMode" ? z.record(z.string(), z.unknown()) : City;
  const answer = await model()
    .withStructuredOutput(schema, { method, name: "city" })
    .invoke("Describe a city. Answer in JSON.");
  expect(() => schema.parse(answer)).not.toThrow();
});

test("429 is retried, an exhausted quota is not", async () => {
  const tries = async (id: string) => {
    server().assertTraffic();
    server().tap.clear();
    const error = await model({ model: id, maxRetries: 1 })
      .invoke(hello)
      .then(
        () => null,
        (reason: unknown) => reason as { status?: number },
      );
    expect(error).toMatchObject({ status: 429 });
    return server().tap.exchanges().length;
  };
  expect(await tries("fault-429")).toBe(2);
  expect(await tries("fault-quota")).toBe(1);
});

test("errors are raised: unknown model, a stream that breaks", async () => {
  await expect(model({ model: "no-such-model" }).invoke(hello)).rejects.toMatchObject({ status: 404 });
  const read = async () => Array.fromAsync(await model({ model: "fault-midstream" }).stream(hello));
  await expect(read()).rejects.toThrow();
});

testTraffic(server);
