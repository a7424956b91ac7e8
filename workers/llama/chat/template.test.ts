import { expect, test } from "bun:test";
import { ApiError, type ChatMessage, parseChatRequest } from "@oxbow/contract";
import { TEMPLATES } from "./fixtures.ts";
import { createChatTemplate } from "./template.ts";

const template = (name: keyof typeof TEMPLATES) => createChatTemplate(TEMPLATES[name], { bos: "<s>", eos: "</s>" });
const messagesOf = (messages: unknown[]): ChatMessage[] => parseChatRequest({ model: "m", messages }).messages;
const TOOLS = [{ name: "get_weather", description: "the weather", parameters: { type: "object", properties: {} } }];

const call = (id: string, city: string) => ({
  id,
  type: "function",
  function: { name: "get_weather", arguments: JSON.stringify({ city }) },
});
/** Everything that templates stumble over: see the tests below, which look for each part. */
const CONVERSATION = messagesOf([
  { role: "developer", content: "Be kind." },
  {
    role: "user",
    content: [
      { type: "text", text: "Weather in " },
      { type: "text", text: "Oslo and Rome?" },
    ],
  },
  { role: "assistant", content: null, tool_calls: [call("call_a", "Oslo"), call("call_b", "Rome")] },
  { role: "tool", tool_call_id: "call_b", content: "20 degrees" },
  { role: "tool", tool_call_id: "call_a", content: [{ type: "text", text: "4 degrees" }] },
  { role: "assistant", content: "Cold and warm." },
  { role: "user", content: "Thanks." },
  { role: "user", content: "And Bonn?" },
]);
const PARTS = ["Be kind.", "Weather in Oslo and Rome?", "get_weather", "Oslo", "Rome", "4 degrees", "20 degrees"];

for (const name of Object.keys(TEMPLATES) as (keyof typeof TEMPLATES)[]) {
  test(`${name}: a conversation with parallel calls keeps all its parts`, () => {
    const prompt = template(name).render(CONVERSATION, { tools: TOOLS });
    if (name.startsWith("BRACKETED_")) return expect(prompt).toContain("get_weather"); // Shows its first message only.
    for (const part of [...PARTS, "Cold and warm.", "Thanks.", "And Bonn?", "the weather"])
      expect(prompt).toContain(part);
    expect(prompt).not.toContain("[object");
  });
}

test("messages become the prompt that the template describes", () => {
  const messages = messagesOf([
    { role: "system", content: "Be kind." },
    { role: "user", content: "Hi" },
    { role: "assistant", content: "", reasoning_content: "Hm", tool_calls: [call("call_a", "Oslo")] },
    { role: "tool", tool_call_id: "call_a", content: "4" },
  ]);
  expect(template("TAGGED").render(messages, { tools: [] })).toBe(
    "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n" +
      '<|im_start|>assistant\n<think>Hm</think><tool_call>\n{"name": "get_weather", "arguments": {"city": "Oslo"}}\n</tool_call>' +
      "<|im_end|>\n<|im_start|>user\n<tool_response>4</tool_response><|im_end|>\n<|im_start|>assistant\n",
  );
});

test("a file without a template gets the common one, with the tools told in words", () => {
  const prompt = template("NONE").render(messagesOf([{ role: "user", content: "Hi" }]), { tools: TOOLS });
  expect(prompt).toStartWith("<|im_start|>system\nYou can call functions.");
  expect(prompt).toContain('{"name":"get_weather","description":"the weather"');
  expect(prompt).toContain('<tool_call>{"name": "<name>", "arguments": <arguments as JSON>}</tool_call>');
  expect(prompt).toEndWith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  const plain = template("NONE").render(messagesOf([{ role: "user", content: "Hi" }]), { tools: [] });
  expect(plain).toBe("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
});

test("a template without a system role is given the system text with the first user message", () => {
  const messages = messagesOf([
    { role: "system", content: "Be kind." },
    { role: "user", content: "Hi" },
    { role: "system", content: "Be brief." },
  ]);
  expect(template("PLAIN").render(messages, { tools: [] })).toBe("<user>Be kind.\n\nBe brief.\n\nHi</s><assistant>");
});

test("ids are made as short as a template demands, the same for call and result", () => {
  const prompt = template("BRACKETED").render(CONVERSATION.slice(1, 5), { tools: [] });
  expect(prompt).toContain('"id": "000000000"}, ');
  expect(prompt).toContain('"id": "000000001"}]');
});

test("the older function messages are calls and results too", () => {
  const messages = messagesOf([
    { role: "user", content: "Hi" },
    { role: "assistant", content: null, function_call: { name: "get_weather", arguments: "" } },
    { role: "function", name: "get_weather", content: "4" },
  ]);
  const prompt = template("TAGGED").render(messages, { tools: [] });
  expect(prompt).toContain('{"name": "get_weather", "arguments": {}}');
  expect(prompt).toContain("<tool_response>4</tool_response>");
});

test("arguments that are no JSON stay the text they are", () => {
  const broken = { id: "call_a", type: "function", function: { name: "get_weather", arguments: '{"city": ' } };
  const messages = messagesOf([
    { role: "user", content: "Hi" },
    { role: "assistant", content: "", tool_calls: [broken] },
    { role: "tool", tool_call_id: "call_a", content: "4" },
  ]);
  for (const name of ["TAGGED", "BARE", "NONE"] as const) {
    expect(template(name).render(messages, { tools: [] })).toContain("city");
  }
});

test("reasoning is switched by its effort", () => {
  const messages = messagesOf([{ role: "user", content: "Hi" }]);
  expect(template("TAGGED").render(messages, { tools: [], reasoningEffort: "none" })).toEndWith("</think>\n\n");
  expect(template("TAGGED").render(messages, { tools: [], reasoningEffort: "low" })).toEndWith("assistant\n");
  expect(template("OPENED").render(messages, { tools: [] })).toEndWith("<think>\n");
  expect(template("CHANNELS").render(messages, { tools: [], reasoningEffort: "xhigh" })).toContain("Reasoning: high");
});

test("a template that refuses the messages in every arrangement is the caller's error, in the template's words", () => {
  const refusing = createChatTemplate(
    "{% if messages[-1].content == 'no' %}{{ raise_exception('not that') }}{% endif %}{{ messages[-1].content }}",
    { bos: "", eos: "" },
  );
  try {
    refusing.render(messagesOf([{ role: "user", content: "no" }]), { tools: [] });
    throw new Error("not refused");
  } catch (error) {
    expect(error).toBeInstanceOf(ApiError);
    expect((error as ApiError).kind.status).toBe(400);
    expect((error as ApiError).message).toEndWith("refuses these messages: not that");
  }
});

test("a broken template is found when it is made", () => {
  expect(() => createChatTemplate("{% if %}", { bos: "", eos: "" })).toThrow();
  expect(() => createChatTemplate("{{ nobody.knows() }}", { bos: "", eos: "" })).toThrow("cannot be rendered");
});
