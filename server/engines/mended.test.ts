// Streams of every kind that engines were seen to send, made from good ones: callers see good ones.

import { afterAll, expect, test } from "bun:test";
import fc from "fast-check";
import engineSchema from "../../data/engines.schema.json" with { type: "json" };
import { deltasOf, type SeenStream, seenStream } from "../../test/stream.ts";
import type { Frame } from "./answer.ts";
import {
  bytesOf,
  chunk,
  DONE,
  EVERY,
  events,
  HEAD,
  MODEL,
  openEngines,
  read,
  textOf,
  violations,
  type WireCall,
  type WireChoice,
  type WireChunk,
  write,
} from "./testing.ts";

const { call, streamed, stop } = openEngines();
afterAll(stop);

test("every repair is offered by the schema of engines.yaml, and none that is not there", () => {
  const { remote } = engineSchema.properties.kinds.additionalProperties.properties;
  expect(remote.properties.repairs.items.enum).toEqual(EVERY);
});

// Good streams: text, calls, several choices, with and without counts.

interface Plan {
  text: string[];
  calls: { name: string; pieces: string[] }[];
}
const plan: fc.Arbitrary<Plan> = fc.record({
  text: fc.array(
    fc
      .string({ unit: "grapheme", minLength: 1, maxLength: 6 })
      .filter((text) => !text.includes("<") && text.trim() !== "" && !text.includes("\uFFFD") && text.isWellFormed()),
    { maxLength: 4 },
  ),
  calls: fc.array(
    fc.record({
      name: fc.constantFrom("f", "get_weather", "g"),
      pieces: fc.constantFrom(["{}"], ['{"a"', ":1}"], ['{"city":"', "São", ' Paulo"}']),
    }),
    { maxLength: 3 },
  ),
});

function chunksOf(plans: Plan[], usage: boolean): WireChunk[] {
  const chunks: WireChunk[] = [];
  for (const [index, { text, calls }] of plans.entries()) {
    chunks.push(chunk({ role: "assistant", content: "", refusal: null }, null, index));
    for (const content of text) chunks.push(chunk({ content }, null, index));
    for (const [at, { name, pieces }] of calls.entries()) {
      const id = `call_${index}_${at}`;
      chunks.push(
        chunk({ tool_calls: [{ index: at, id, type: "function", function: { name, arguments: "" } }] }, null, index),
      );
      for (const piece of pieces) {
        chunks.push(chunk({ tool_calls: [{ index: at, function: { arguments: piece } }] }, null, index));
      }
    }
    chunks.push(chunk({}, calls.length > 0 ? "tool_calls" : "stop", index));
  }
  if (!usage) return chunks;
  for (const each of chunks) each.usage = null;
  return [...chunks, { ...HEAD, choices: [], usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 } }];
}

/** What a stream says, whatever its chunks look like. */
function meaningOf(seen: SeenStream) {
  return [...deltasOf(seen).entries()].map(([index, deltas]) => {
    const calls: Record<number, { name: string; text: string }> = {};
    for (const piece of deltas.flatMap(({ delta }) => delta.tool_calls ?? [])) {
      const call = calls[piece.index as number] ?? { name: "", text: "" };
      calls[piece.index as number] = call;
      call.name += piece.function?.name ?? "";
      call.text += piece.function?.arguments ?? "";
    }
    const text = deltas.map(({ delta }) => delta.content ?? "").join("");
    return { index, text, calls: Object.values(calls), finish: deltas.at(-1)!.finish };
  });
}

test("a good stream passes byte for byte, with every repair and with none, however it is cut", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(plan, { minLength: 1, maxLength: 2 }),
      fc.boolean(),
      fc.array(fc.nat(), { maxLength: 6 }),
      async (plans, usage, cuts) => {
        const text = write(...chunksOf(plans, usage));
        const request = usage ? { stream_options: { include_usage: true } } : {};
        expect(await streamed(text, request, EVERY, cuts)).toBe(text);
        expect(await streamed(text, request, [], cuts)).toBe(text);
      },
    ),
    { numRuns: 60 },
  );
});

test("what was written with spaces or long numbers passes as it was written", async () => {
  const odd = `data: { "id": "chatcmpl-1",  "object": "chat.completion.chunk", "created": 1700000000, "model": "m", "seed": 12345678901234567890, "choices": [ { "index": 0, "delta": { "role": "assistant", "content": "é" }, "finish_reason": "stop" } ] }\n\n${DONE}`;
  expect(await streamed(odd)).toBe(odd);
});

/** Each is something that engines were seen to do. All of them leave what the stream means as it was. */
type Mutation = (chunks: WireChunk[]) => WireChunk[];
const set = (holder: object | undefined, fields: object) => void (holder && Object.assign(holder, fields));
const without = (key: string) => (holder: object | undefined) => void (holder && Reflect.deleteProperty(holder, key));
const each =
  (change: (chunk: WireChunk, at: number) => unknown): Mutation =>
  (chunks) => {
    for (const [at, one] of chunks.entries()) change(one, at);
    return chunks;
  };
const eachChoice = (change: (choice: WireChoice) => unknown) =>
  each((one) => {
    for (const choice of one.choices ?? []) change(choice);
  });
const eachCall = (change: (call: WireCall) => unknown) =>
  eachChoice((choice) => {
    for (const call of choice.delta?.tool_calls ?? []) change(call);
  });
const MUTATIONS: Record<string, Mutation> = {
  "no id": each(without("id")),
  "an id of its own for each": each((one, at) => set(one, { id: `x${at}` })),
  "no object": each(without("object")),
  "a time with a fraction, and another for each": each((one, at) => set(one, { created: one.created! + at + 0.5 })),
  "no time": each(without("created")),
  "another name of the model": each((one) => set(one, { model: "/models/x.gguf" })),
  "no name of the model": each(without("model")),
  "a fingerprint that comes late": each((one, at) => set(one, at > 0 ? { system_fingerprint: `fp_${at}` } : {})),
  "an error that is null": each((one) => set(one, { error: null })),
  "the role everywhere": eachChoice(({ delta }) => set(delta, { role: "assistant" })),
  "no role": eachChoice(({ delta }) => without("role")(delta)),
  "an empty role": eachChoice(({ delta }) => set(delta, { role: "" })),
  "a role that is null": eachChoice(({ delta }) => set(delta, { role: null })),
  "no finish until the end": eachChoice((choice) => choice.finish_reason || without("finish_reason")(choice)),
  "an empty finish until the end": eachChoice((choice) => set(choice, { finish_reason: choice.finish_reason || "" })),
  "no finish at all": eachChoice((choice) => set(choice, { finish_reason: null })),
  "a finish by another name": eachChoice((choice) => choice.finish_reason && set(choice, { finish_reason: "eos" })),
  "stop for calls": eachChoice((choice) => choice.finish_reason && set(choice, { finish_reason: "stop" })),
  "no delta at the end": eachChoice((choice) => choice.finish_reason && without("delta")(choice)),
  "a chunk behind the finish": (chunks) =>
    chunks.flatMap((one) =>
      one.choices?.[0]?.finish_reason ? [one, { ...one, choices: [{ ...one.choices[0], delta: {} }] }] : [one],
    ),
  "empty lists of calls": eachChoice(({ delta }) => set(delta, { tool_calls: delta?.tool_calls ?? [] })),
  "calls in the older field too": eachChoice(({ delta }) => {
    const call = delta?.tool_calls?.[0];
    if (delta) set(delta, { function_call: call ? call.function : null });
  }),
  "calls that are null": eachChoice(({ delta }) => set(delta, { tool_calls: delta?.tool_calls ?? null })),
  "calls from 1": eachCall((call) => set(call, { index: call.index! + 1 })),
  "calls without index": eachCall(without("index")),
  "calls that share an index": eachCall((call) => set(call, { index: 0 })),
  "calls without type": eachCall(without("type")),
  "id and name again as null": eachCall((call) => {
    if (call.id) return;
    set(call, { id: null, type: null });
    set(call.function, { name: null });
  }),
  "no arguments with the name": eachCall((call) => call.function.name && without("arguments")(call.function)),
  "nothing for no arguments": eachCall(({ function: told }) => told.arguments === "{}" && set(told, { arguments: "" })),
  "an object for no arguments": eachCall(
    ({ function: told }) => told.arguments === "{}" && set(told, { arguments: {} }),
  ),
  "counts in every chunk": each((one, at) =>
    set(one, { usage: { prompt_tokens: 3, completion_tokens: at, total_tokens: 3 + at } }),
  ),
  "counts without choices": each((one) => one.choices?.length === 0 && without("choices")(one)),
  "counts with choices that are null": each((one) => one.choices?.length === 0 && set(one, { choices: null })),
  "counts without a sum": each((one) => one.usage && without("total_tokens")(one.usage)),
  "no counts": (chunks) => chunks.filter((one) => (one.choices ?? []).length > 0),
  "counts first": (chunks) => [{ ...HEAD, choices: [], usage: null }, ...chunks],
};
/** They take away by what a mutation of the same stream is told apart, and leave no sense to be made. */
const CLASHES = [
  new Set(["calls without index", "calls from 1", "calls that share an index"]),
  new Set(["no id", "an id of its own for each"]),
];

const FRAMINGS: Record<string, (text: string) => string> = {
  plain: (text) => text,
  "CR LF": (text) => text.replaceAll("\n", "\r\n"),
  "no space": (text) => text.replaceAll("data: ", "data:"),
  "comments with empty lines": (text) => text.replaceAll("data: ", ": ping\n\ndata: "),
  "names, ids and retries": (text) => text.replaceAll("data: ", "retry: 3\nid: 7\nevent: message\ndata: "),
  "no empty lines between events": (text) => text.replaceAll("}\n\ndata: {", "}\ndata: {"),
  "no empty line at the end": (text) => text.slice(0, -1),
  "a space behind the end": (text) => text.replace("[DONE]", "[DONE] "),
};

test("whatever engines do to a good stream, callers see a good one that says the same", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(plan, { minLength: 1, maxLength: 2 }),
      fc.boolean(),
      fc.uniqueArray(fc.constantFrom(...Object.keys(MUTATIONS)), { maxLength: 6 }),
      fc.constantFrom(...Object.keys(FRAMINGS)),
      fc.array(fc.nat(), { maxLength: 6 }),
      async (plans, usage, mutations, framing, cuts) => {
        const clash = CLASHES.some((set) => mutations.filter((name) => set.has(name)).length > 1);
        fc.pre(!clash);
        const good = read(write(...chunksOf(plans, usage)));
        const chunks = mutations.reduce((now, name) => MUTATIONS[name]!(now), structuredClone(chunksOf(plans, usage)));
        const request = usage ? { stream_options: { include_usage: true } } : {};
        const seen = read(await streamed(FRAMINGS[framing]!(write(...chunks)), request, EVERY, cuts), request);
        expect(violations(seen)).toEqual([]);
        expect(meaningOf(seen)).toEqual(meaningOf(good));
      },
    ),
    { numRuns: 400 },
  );
}, 60_000);

test("any chunk borders give the same events", async () => {
  const text = FRAMINGS["CR LF"]!(
    write(...chunksOf([{ text: ["é", "😀"], calls: [] }], false)).replace("data: ", ": c\n\ndata: "),
  );
  const once = await streamed(text);
  for (let cut = 1; cut < bytesOf(text).length; cut++) expect(await streamed(text, {}, EVERY, [cut])).toBe(once);
});

test("random bytes in a stream never come out as an event that SDKs break on", async () => {
  const good = write(...chunksOf([{ text: ["one", "two"], calls: [{ name: "f", pieces: ['{"a"', ":1}"] }] }], true));
  await fc.assert(
    fc.asyncProperty(fc.nat(good.length), fc.nat(40), fc.string({ maxLength: 12 }), async (at, length, junk) => {
      const text = good.slice(0, at) + junk + good.slice(at + length);
      const body = { model: "m", stream: true, stream_options: { include_usage: true } };
      const frames: Frame[] = [];
      const end = await call(() => events([bytesOf(text)]), body)
        .then(async (answer) => {
          if (answer.kind !== "stream") throw new Error("not a stream");
          for (let frame = await answer.events.next(); frame !== null; frame = await answer.events.next())
            frames.push(frame);
          return "whole";
        })
        .catch((error: Error) => error.constructor.name);
      expect(end).toBeOneOf(["whole", "ApiError", "RelayedError"]);
      const seen = seenStream(textOf(frames), { ...body, model: MODEL }, end === "whole");
      // Text that the junk has torn is the engine's word: only the form is ours. Arguments are the engine's word too.
      const found = violations(seen).filter((line) => !/arguments of a finished|character torn/.test(line));
      expect(found.filter((line) => !line.startsWith("/"))).toEqual([]);
    }),
    { numRuns: 300 },
  );
}, 60_000);

test("the transcripts of this file are those that the rules were tried on", () => {
  // A rule that cannot fail proves nothing: each of the worst mutations is seen by the rules when nothing repairs it.
  for (const name of [
    "the role everywhere",
    "no finish at all",
    "calls from 1",
    "an error that is null",
    "counts in every chunk",
  ]) {
    const chunks = MUTATIONS[name]!(
      structuredClone(chunksOf([{ text: ["a"], calls: [{ name: "f", pieces: ["{}"] }] }], false)),
    );
    expect([name, violations(read(write(...chunks))).length > 0]).toEqual([name, true]);
  }
});
