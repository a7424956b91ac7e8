import { expect, test } from "bun:test";
import { createSimulator } from "./server.ts";

const handle = (dress: string) =>
  createSimulator({
    socket: "",
    models: [{ id: "m", aliases: [], category: "chat", capabilities: ["tools", "reasoning"], contextTokens: 64 }],
    slots: 2,
    threads: 1,
    options: { dress },
  });
const ping = { type: "function", function: { name: "ping" } };
async function ask(dress: string, body: object): Promise<Response> {
  const request = { model: "m", messages: [{ role: "user", content: "Hi" }], max_completion_tokens: 20, ...body };
  return handle(dress)(
    new Request("http://engine/v1/chat/completions", { method: "POST", body: JSON.stringify(request) }),
  );
}
const chunksOf = (text: string) =>
  text
    .split("\n\n")
    .filter((block) => block.startsWith("data: {"))
    .map((block) => JSON.parse(block.slice(6)).choices[0]?.delta ?? {});

test("vLLM's dress has its habits: an empty list of calls, calls that begin with a name, reasoning by another name", async () => {
  const whole = (await (await ask("vllm", {})).json()) as { choices: { message: object }[] };
  expect(whole.choices[0]!.message).toMatchObject({ tool_calls: [] });
  const called = chunksOf(await (await ask("vllm", { stream: true, tools: [ping], tool_choice: "required" })).text());
  const first = called.find((delta) => delta.tool_calls)!.tool_calls[0];
  expect(first.function).toEqual({ name: "ping" });
  const thinking = chunksOf(await (await ask("vllm", { stream: true, reasoning_effort: "high" })).text());
  expect(thinking.some((delta) => typeof delta.reasoning === "string")).toBe(true);
  expect(thinking.some((delta) => "reasoning_content" in delta)).toBe(false);
});

test("SGLang's dress says null for all that it does not say", async () => {
  const deltas = chunksOf(await (await ask("sglang", { stream: true })).text());
  expect(deltas.at(-2)).toMatchObject({ role: null, reasoning_content: null, tool_calls: null });
});

test("errors are theirs, in form and words", async () => {
  const messages = [{ role: "user", content: "Hello ".repeat(200) }];
  const [vllm, sglang, plain] = await Promise.all(
    ["vllm", "sglang", "plain"].map(async (dress) => (await ask(dress, { messages })).json()),
  );
  expect(vllm).toMatchObject({
    error: { message: expect.stringMatching(/^This model's maximum .* your request has \d+ input/), code: 400 },
  });
  expect(sglang).toMatchObject({ object: "error", message: expect.stringMatching(/^The input \(\d+ tokens\)/) });
  expect(plain).toMatchObject({ error: { code: "context_length_exceeded" } });
});

test.each(["plain", "vllm", "sglang"])("a fault is the same in any dress: %s", async (dress) => {
  const faulty = (fault: object) => ask(dress, { x_simulate: { fault } });
  const garbage = await faulty({ kind: "garbage" });
  expect(garbage.status).toBe(200);
  const text = await garbage.text();
  expect(() => JSON.parse(text) as unknown).toThrow();
  const cut = await faulty({ kind: "reset", atByte: 0 });
  expect(cut.status).toBe(200);
  expect(await cut.text().catch((error: Error) => error)).toBeInstanceOf(Error);
});
