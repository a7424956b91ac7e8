import { describe, expect, test } from "bun:test";
import { type Body, callsOf, refusal, streamed, textOf, user, weather, whole } from "./testing.ts";

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
