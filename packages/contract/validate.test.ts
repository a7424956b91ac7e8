import { expect, test } from "bun:test";
import fc from "fast-check";
import { Compile } from "typebox/compile";
import { ApiError, ChatRequest, parseChatRequest, toolPolicyOf, violation } from "./contract.ts";

const user = [{ role: "user", content: "hi" }];
const refusal = (body: Record<string, unknown>) => {
  try {
    parseChatRequest({ model: "m", ...body });
  } catch (error) {
    if (error instanceof ApiError) return [error.row, error.param, error.message];
    throw error;
  }
  return null;
};

test("a good request passes, and null is the same as absent", () => {
  expect(parseChatRequest({ model: "m", messages: user, temperature: null, tools: null })).toEqual({
    model: "m",
    messages: [{ role: "user", content: "hi" }],
  });
});

test("the first bad field is named in OpenAI's words", () => {
  expect(refusal({})?.slice(0, 2)).toEqual(["missing_required_parameter", "messages"]);
  expect(refusal({ messages: [] })).toEqual([
    "empty_array",
    "messages",
    "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
  ]);
  expect(refusal({ messages: "hi" })?.[2]).toBe(
    "Invalid type for 'messages': expected an array of objects, but got a string instead.",
  );
  expect(refusal({ messages: user, temperature: 100 })?.[2]).toBe(
    "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 100.0 instead.",
  );
  expect(refusal({ messages: user, max_tokens: -1 })?.[0]).toBe("integer_below_min_value");
  expect(refusal({ messages: user, max_tokens: "5" })?.[2]).toBe(
    "Invalid type for 'max_tokens': expected an integer, but got a string instead.",
  );
  expect(refusal({ messages: [{ role: "boss", content: "x" }] })).toEqual([
    "invalid_value",
    "messages[0].role",
    "Invalid value: 'boss'. Supported values are: 'developer', 'system', 'user', 'assistant', 'tool', and 'function'.",
  ]);
  expect(refusal({ messages: [{ role: "user", content: 5 }] })?.[2]).toBe(
    "Invalid type for 'messages[0].content': expected one of a string or an array of objects, but got an integer instead.",
  );
  expect(refusal({ messages: [{ role: "user", content: [{ type: "text" }] }] })?.[1]).toBe(
    "messages[0].content[0].text",
  );
  expect(refusal({ messages: user, tools: [] })?.[0]).toBe("empty_array");
  expect(refusal({ messages: user, stream_options: {} })?.[1]).toBe("stream_options");
  expect(refusal({ messages: [{ role: "tool", content: "1", tool_call_id: "a" }] })?.[1]).toBe("messages.[0].role");
});

test("the explaining walk finds nothing in a good request", () => {
  const good = {
    model: "m",
    messages: user,
    stop: ["a"],
    tool_choice: "auto",
    response_format: { type: "json_object" },
  };
  expect(violation(ChatRequest as never, good, "")).toBeNull();
});

test("names in metadata have 64 characters at most, and a refusal says so", () => {
  const named = (name: string) =>
    violation(ChatRequest as never, { model: "m", messages: user, metadata: { [name]: "v" } }, "");
  expect(named("k".repeat(64))).toBeNull();
  expect(named("\u{1f600}".repeat(64))).toBeNull();
  for (const name of ["k".repeat(65), "\u{1f600}".repeat(65)]) {
    const { row, param, message } = named(name)!;
    expect([row, param]).toEqual(["string_above_max_length", "metadata"]);
    expect(message).toEndWith("Expected a string with maximum length 64, but got a string with length 65 instead.");
  }
});

test("a bias has 2,048 tokens at most: engines go through it in every step", () => {
  const bias = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, at) => [at, 1]));
  const refused = (count: number) =>
    violation(ChatRequest as never, { model: "m", messages: user, logit_bias: bias(count) }, "");
  expect(refused(2_048)).toBeNull();
  expect([refused(2_049)!.row, refused(2_049)!.param]).toEqual(["object_above_max_properties", "logit_bias"]);
});

test("a body is refused exactly when the walk that explains has something to explain", () => {
  // Bodies near the good one: one field, anywhere, replaced by something else.
  const good = {
    model: "m",
    messages: [
      { role: "system", content: "be good" },
      {
        role: "user",
        content: [
          { type: "text", text: "hi" },
          { type: "image_url", image_url: { url: "data:" } },
        ],
      },
    ],
    stop: ["a"],
    temperature: 1,
    max_tokens: 3,
    tools: [{ type: "function", function: { name: "f", parameters: { type: "object" } } }],
    tool_choice: { type: "function", function: { name: "f" } },
    response_format: { type: "json_schema", json_schema: { name: "x", schema: {} } },
    logit_bias: { "5": 1 },
    metadata: { a: "b" },
  };
  const compiled = Compile(ChatRequest);
  fc.assert(
    fc.property(fc.nat(200), fc.jsonValue({ maxDepth: 2 }), (where, value) => {
      const body = JSON.parse(JSON.stringify(good));
      const paths = pathsOf(body);
      const path = paths[where % paths.length]!;
      const owner = path.slice(0, -1).reduce((at, key) => at[key], body);
      owner[path.at(-1)!] = value;
      expect(violation(ChatRequest as never, body, "") === null).toBe(compiled.Check(body));
    }),
    { numRuns: 2_000 },
  );
});

/** The way to every field of a JSON value. */
function pathsOf(value: unknown, at: string[] = []): string[][] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => [[...at, key], ...pathsOf(inner, [...at, key])]);
}

test("the older functions become one tool policy with the newer tools", () => {
  const call = parseChatRequest({
    model: "m",
    messages: user,
    functions: [{ name: "f" }],
    function_call: { name: "f" },
  });
  expect(toolPolicyOf(call)).toMatchObject({ mode: "required", named: "f", legacy: true });
});
