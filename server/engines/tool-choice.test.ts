import { expect, test } from "bun:test";
import engineSchema from "../../data/engines.schema.json" with { type: "json" };
import { chosen, TOOL_CHOICES } from "./tool-choice.ts";

const tool = (name: string) => ({ type: "function", function: { name } });
const tools = [tool("f"), tool("g")];
const allowed = (mode: string) => ({ type: "allowed_tools", allowed_tools: { mode, tools: [tool("g")] } });

test("a way of choosing that the engine knows goes out as it came", () => {
  for (const tool_choice of ["none", "auto", "required", tool("f"), allowed("auto"), undefined]) {
    expect(chosen({ tools, tool_choice }, TOOL_CHOICES)).toEqual({});
  }
  expect(chosen({ tool_choice: "required" }, [])).toEqual({});
});

test("a way that it does not know is said in one that means the same", () => {
  expect(chosen({ tools, tool_choice: tool("f") }, ["required"])).toEqual({
    tools: [tool("f")],
    tool_choice: "required",
  });
  expect(chosen({ tools, tool_choice: allowed("auto") }, ["auto"])).toEqual({
    tools: [tool("g")],
    tool_choice: undefined,
  });
  expect(chosen({ tools, tool_choice: allowed("required") }, ["named"])).toEqual({
    tools: [tool("g")],
    tool_choice: tool("g"),
  });
  expect(chosen({ tools, tool_choice: "none" }, ["auto"])).toEqual({
    tools: undefined,
    tool_choice: undefined,
    parallel_tool_calls: undefined,
  });
});

test("a promise that it would break without a word is refused", () => {
  for (const tool_choice of ["required", tool("f"), allowed("required")]) {
    expect(() => chosen({ tools, tool_choice }, ["none", "auto"])).toThrow("'tool_choice' does not support");
  }
});

test("the schema of engines.yaml offers every way", () => {
  const { toolChoices } = engineSchema.properties.kinds.additionalProperties.properties.remote.properties;
  expect(toolChoices.items.enum).toEqual([...TOOL_CHOICES]);
});
