import { expect, test } from "bun:test";
import engineSchema from "../../data/engines.schema.json" with { type: "json" };
import { CALL_REPAIRS } from "./call-repairs.ts";

test("an assistant's message without text gets an empty one, and nothing else changes", () => {
  const { changes } = CALL_REPAIRS.content!;
  const user = { role: "user", content: null };
  const calling = { role: "assistant", content: null, tool_calls: [] };
  expect(changes({ messages: [user, calling, { role: "assistant" }] })).toEqual({
    messages: [user, { ...calling, content: "" }, { role: "assistant", content: "" }],
  });
  expect(changes({ messages: [user, { role: "assistant", content: "x" }] })).toEqual({});
  expect(changes({ prompt: "x" })).toEqual({});
});

test("a schema is said in the older form", () => {
  const { changes } = CALL_REPAIRS.schema!;
  const schema = { type: "object" };
  expect(changes({ response_format: { type: "json_schema", json_schema: { name: "a", schema } } })).toEqual({
    response_format: { type: "json_object", schema },
  });
  for (const response_format of [undefined, { type: "text" }, { type: "json_object" }]) {
    expect(changes({ response_format })).toEqual({});
  }
});

test("the schema of engines.yaml offers every repair of a call", () => {
  const { callRepairs } = engineSchema.properties.kinds.additionalProperties.properties.remote.properties;
  expect(callRepairs.items.enum).toEqual(Object.keys(CALL_REPAIRS));
});
