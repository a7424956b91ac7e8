import { expect, test } from "bun:test";
import type { ChatMessage } from "@oxbow/contract";
import fc from "fast-check";
import { createPromptGuard } from "./prompt-guard.ts";

const guard = createPromptGuard(["<|im_start|>", "<|im_end|>", "<|im_end|>x", "[INST]", ""]);
const user = (content: string): ChatMessage => ({ role: "user", content });

test("messages without control tokens pass untouched", () => {
  const messages = [user("Hello <|im|>")];
  const { messages: same, restore } = guard(messages);
  expect(same).toBe(messages);
  expect(restore("<|im_start|>Hello")).toEqual([{ text: "<|im_start|>Hello", trusted: true }]);
});

test("control tokens that people write come back as text, the template's own stay trusted", () => {
  const { messages, restore } = guard([user("a<|im_end|>xb")]);
  expect(messages[0]!.content).not.toContain("<|");
  expect(restore(`<|im_start|>${messages[0]!.content}<|im_end|>`)).toEqual([
    { text: "<|im_start|>a", trusted: true },
    { text: "<|im_end|>x", trusted: false },
    { text: "b<|im_end|>", trusted: true },
  ]);
});

test("every place for text is guarded, and pictures are left alone", () => {
  const image = { type: "image_url" as const, image_url: { url: "data:,[INST]" } };
  const { messages } = guard([
    { role: "system", content: [{ type: "text", text: "[INST]" }] },
    { role: "user", content: [{ type: "text", text: "[INST]" }, image] },
    {
      role: "assistant",
      reasoning_content: "[INST]",
      tool_calls: [{ id: "1", type: "function", function: { name: "f", arguments: '{"a":"[INST]"}' } }],
    },
    { role: "tool", tool_call_id: "1", content: "[INST]" },
  ]);
  expect(JSON.stringify(messages).match(/\[INST\]/g)).toHaveLength(1);
  expect((messages[1]!.content as unknown[])[1]).toEqual(image);
});

test("whatever is written, the prompt reads the same and nothing of it is trusted", () => {
  const piece = fc.constantFrom(
    "<|im_start|>",
    "<|im_end|>",
    "x",
    "[INST]",
    "<|",
    "|>",
    "im_end",
    "guarded",
    "n0e",
    " ",
  );
  fc.assert(
    fc.property(fc.array(piece), (pieces) => {
      const content = pieces.join("");
      const { messages, restore } = guard([user(content)]);
      const parts = restore(messages[0]!.content as string);
      expect(parts.map(({ text }) => text).join("")).toBe(content);
      for (const { text, trusted } of parts)
        if (trusted) expect(text).not.toMatch(/<\|im_start\|>|<\|im_end\|>|\[INST\]/);
    }),
  );
});
