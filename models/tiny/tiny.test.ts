import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Template } from "@huggingface/jinja";
import { getLlama, type Llama, LlamaGrammarEvaluationState, type LlamaModel } from "node-llama-cpp";
import { buildTiny } from "./build.ts";
import { CHAT_TEMPLATE } from "./chat-template.ts";
import { parseCorpus } from "./corpus.ts";

const FILE = join(import.meta.dir, "tiny.gguf");
let llama: Llama;
let model: LlamaModel;

beforeAll(async () => {
  llama = await getLlama({ gpu: false, build: "never", maxThreads: 1 });
  model = await llama.loadModel({ modelPath: FILE });
});
afterAll(async () => {
  await model.dispose();
  await llama.dispose();
});

test("the committed file is what the script writes", () => {
  expect(Bun.hash(buildTiny())).toBe(Bun.hash(readFileSync(FILE)));
});

test("greedy answers are whole answers of the corpus, on the subject that was asked about", async () => {
  const topics = parseCorpus(readFileSync(join(import.meta.dir, "corpus.txt"), "utf8"));
  const asked = {
    "Hello!": "greeting",
    "Who are you?": "identity",
    "What is Oxbow?": "oxbow",
    "How do I get a real model?": "model",
    "Can you stream the answer?": "stream",
    "xyzzy plugh": "default",
  };
  for (const [question, name] of Object.entries(asked)) {
    const { text, ended } = await answer(prompt([{ role: "user", content: question }]), { temperature: 0 });
    expect({ question, text, ended }).toEqual({ question, text: expect.any(String), ended: true });
    expect(topics.find((topic) => topic.name === name)!.answers).toContain(text);
  }
});

test("the subject is the user's latest, not that of an earlier turn or of an answer", async () => {
  const first = [
    { role: "system", content: "You are a helpful assistant." },
    { role: "user", content: "Hello!" },
  ];
  const greeting = await answer(prompt(first), { temperature: 0 });
  const second = [
    ...first,
    { role: "assistant", content: greeting.text },
    { role: "user", content: "What can you do?" },
  ];
  expect((await answer(prompt(second), { temperature: 0 })).text).toStartWith("I can tell you what Oxbow is");
});

test("at temperature 1 answers differ by seed, are the same for the same seed, and end by themselves", async () => {
  const texts = new Set<string>();
  for (let seed = 0; seed < 20; seed++) {
    const input = prompt([{ role: "user", content: "Hello!" }]);
    const { text, ended } = await answer(input, { temperature: 1, seed });
    expect(ended).toBe(true);
    expect((await answer(input, { temperature: 1, seed })).text).toBe(text);
    texts.add(text);
  }
  expect(texts.size).toBeGreaterThan(1);
});

test("a grammar for JSON gets a whole JSON object out of it", async () => {
  const grammar = String.raw`root ::= "{" string ":" " "? value ("," " "? string ":" " "? value)* "}"
value ::= string | "-"? ("0" | [1-9] [0-9]{0,8}) | "true" | "false" | "null"
string ::= "\"" [^"\\\x00-\x1F]* "\""`;
  for (const question of ["Hello!", "Give me a city", "Answer in JSON"])
    for (const temperature of [0, 1]) {
      const { text, ended } = await answer(prompt([{ role: "user", content: question }]), { temperature, grammar });
      expect({ question, text, ended }).toEqual({ question, text: expect.any(String), ended: true });
      expect(JSON.parse(text)).toBeObject();
    }
});

test("the template renders tools, calls and their results, each call as one JSON object", () => {
  const tool = { type: "function", function: { name: "get_weather", parameters: { type: "object", properties: {} } } };
  const call = (location: string, index: number) => ({
    id: `call_${index}`,
    type: "function",
    function: { name: "get_weather", arguments: { location } },
  });
  const rendered = prompt(
    [
      { role: "system", content: "Be brief." },
      { role: "user", content: "Weather?" },
      { role: "assistant", content: null, tool_calls: ["Paris", "Tokyo"].map(call) },
      { role: "tool", tool_call_id: "call_0", content: "21" },
      { role: "tool", tool_call_id: "call_1", content: "17" },
    ],
    [tool],
  );
  expect(rendered.match(/(?<=<tools>\n).*(?=\n<\/tools>)/)!.map((line) => JSON.parse(line))).toEqual([tool]);
  const turns = rendered.split("<|im_start|>").slice(1);
  expect(turns.map((turn) => turn.split("\n")[0])).toEqual(["system", "user", "assistant", "user", "assistant"]);
  expect(turns[0]).toStartWith("system\nBe brief.\n\n");
  expect([...turns[2]!.matchAll(/<tool_call>\n(.*)\n<\/tool_call>/g)].map(([, json]) => JSON.parse(json!))).toEqual([
    { name: "get_weather", arguments: { location: "Paris" } },
    { name: "get_weather", arguments: { location: "Tokyo" } },
  ]);
  expect(turns[3]).toBe(
    "user\n<tool_response>\n21\n</tool_response>\n<tool_response>\n17\n</tool_response><|im_end|>\n",
  );
  expect(rendered).toEndWith("<|im_start|>assistant\n");
});

function prompt(messages: Record<string, unknown>[], tools?: unknown[]): string {
  return new Template(CHAT_TEMPLATE).render({ messages, tools: tools ?? null, add_generation_prompt: true });
}

/** Runs the real engine. `ended` tells whether the model stopped by itself within 200 tokens. */
async function answer(
  input: string,
  { temperature, seed = 1, grammar }: { temperature: number; seed?: number; grammar?: string },
): Promise<{ text: string; ended: boolean }> {
  const context = await model.createContext({ contextSize: 512, threads: 1 });
  const rules = grammar === undefined ? undefined : await llama.createGrammar({ grammar });
  const state = rules && new LlamaGrammarEvaluationState({ model, grammar: rules });
  const sequence = context.getSequence();
  const tokens = [];
  const options = { temperature, seed, ...(state ? { grammarEvaluationState: state } : {}) };
  for await (const token of sequence.evaluate(model.tokenize(input, true), options)) {
    tokens.push(token);
    if (tokens.length === 200) break;
  }
  await context.dispose();
  return { text: model.detokenize(tokens), ended: tokens.length < 200 };
}
