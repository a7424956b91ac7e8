import { expect, test } from "bun:test";
import { affinityOf } from "./affinity.ts";

const MAX = 4_096;
const user = (content: unknown) => ({ role: "user", content });
const chat = (...messages: unknown[]) => affinityOf("m", { messages }, MAX);

test("all turns of a conversation belong together, and other conversations elsewhere", () => {
  const system = { role: "system", content: "Be brief." };
  const first = chat(system, user("One"));
  expect(chat(system, user("One"), { role: "assistant", content: "Yes" }, user("Two"))).toBe(first);
  expect(chat(system, user("Two"))).not.toBe(first);
  expect(chat(user("One"))).not.toBe(first);
  expect(affinityOf("n", { messages: [system, user("One")] }, MAX)).not.toBe(first);
});

test("what the caller says in prompt_cache_key goes before the prompt", () => {
  const of = (messages: unknown[]) => affinityOf("m", { prompt_cache_key: "k", messages }, MAX);
  expect(of([user("One")])).toBe(of([user("Two")]));
  expect(affinityOf("m", { prompt_cache_key: "", messages: [user("One")] }, MAX)).toBe(chat(user("One")));
});

test("of a long prompt only the beginning counts, whatever it is made of", () => {
  const long = "x".repeat(MAX);
  expect(chat(user(`${long}a`))).toBe(chat(user(`${long}b`)));
  expect(chat({ role: "system", content: long }, user("a"))).toBe(chat({ role: "system", content: long }, user("b")));
  expect(affinityOf("m", { prompt: `${long}a` }, MAX)).toBe(affinityOf("m", { prompt: `${long}b` }, MAX));
  const image = (name: string) => ({ type: "image_url", image_url: { url: `https://a/${name}` } });
  expect(chat(user([image("1")]))).not.toBe(chat(user([image("2")])));
  const inlined = { type: "image_url", image_url: { url: `data:image/png;base64,${"A".repeat(1e6)}` } };
  expect(chat(user([inlined]))!.length).toBeLessThan(400);
});

test("a body without a prompt, or with none to speak of, belongs nowhere or is told by what there is", () => {
  expect(affinityOf("m", { input: "x" }, MAX)).toBeUndefined();
  expect(affinityOf("m", { prompt: [1, 2] }, MAX)).toBeUndefined();
  for (const odd of [[], [null], ["x"], [{ role: 1 }], [user(null)], [user([null, 7, { text: 3 }])]]) {
    expect(typeof affinityOf("m", { messages: odd }, MAX)).toBe("string");
  }
  expect(affinityOf("m", { messages: [user("One")] }, 0)).toBeUndefined();
});
