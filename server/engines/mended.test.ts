import { afterAll, describe, expect, test } from "bun:test";
import { type RelayedError, sseEvent } from "@oxbow/contract";
import fc from "fast-check";
import engineSchema from "../../data/engines.schema.json" with { type: "json" };
import { violationsOf as shapeViolations } from "../../test/oracle/oracle.ts";
import { CHAT_STREAM_RULES, CHAT_WHOLE_RULES, FRAMING_RULES } from "../../test/rules.ts";
import { deltasOf, type SeenStream, seenStream } from "../../test/stream.ts";
import type { RemoteKind } from "../config.ts";
import type { Frame } from "./answer.ts";
import { createEngine } from "./engine.ts";
import { readWhole } from "./relay.ts";
import { REPAIRS } from "./repairs/repairs.ts";
import { TOOL_CHOICES } from "./tool-choice.ts";

/** A real server, which answers what the path of its base URL names. */
const answers = new Map<string, () => Response>();
const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch: (request) => answers.get(new URL(request.url).pathname.split("/")[1]!)!(),
});
afterAll(() => server.stop(true));

const CHAT = "/v1/chat/completions";
const remoteOf = (repairs: string[]): RemoteKind => ({
  health: "/health",
  keepAlive: true,
  usage: "asked",
  privateFields: [],
  rename: {},
  roles: {},
  toolChoices: [...TOOL_CHOICES],
  callRepairs: [],
  refusals: [],
  repairs,
});
const EVERY = Object.keys(REPAIRS);

let count = 0;
/** What an engine's answer comes to, for a kind with these repairs. */
async function call(response: () => Response, body: object, repairs = EVERY, path = CHAT, names?: Map<string, string>) {
  const name = String(count++);
  answers.set(name, response);
  const engine = createEngine({
    id: "e",
    kind: "k",
    features: [],
    simulated: false,
    slots: 1,
    address: { baseUrl: `${server.url.origin}/${name}/v1` },
    remote: remoteOf(repairs),
    ...(names ? { names } : {}),
  });
  const bytes = new TextEncoder().encode(JSON.stringify(body));
  return engine
    .call(path, bytes, { signal: new AbortController().signal, model: "m" })
    .finally(() => answers.delete(name));
}

const SSE = { "content-type": "text/event-stream" };
/** Sends the parts as chunks of their own. */
function events(parts: Uint8Array[]): Response {
  const body = new ReadableStream<Uint8Array>({
    async start(controller) {
      for (const part of parts) {
        controller.enqueue(part);
        await Bun.sleep(0);
      }
      controller.close();
    },
  });
  return new Response(body, { headers: SSE });
}
const bytesOf = (text: string) => new TextEncoder().encode(text);

async function framesOf(answer: Awaited<ReturnType<typeof call>>): Promise<Frame[]> {
  if (answer.kind !== "stream") throw new Error("not a stream");
  const frames: Frame[] = [];
  for (;;) {
    const frame = await answer.events.next();
    if (frame === null) return frames;
    frames.push(frame);
  }
}
const textOf = (frames: Frame[]) => Buffer.concat(frames.map((frame) => frame.bytes)).toString();

/** The stream that callers see, for what an engine sends. */
async function streamed(text: string, request: object = {}, repairs = EVERY, cuts: number[] = []): Promise<string> {
  const whole = bytesOf(text);
  const borders = [0, ...cuts.map((cut) => cut % (whole.length + 1)).sort((a, b) => a - b), whole.length];
  const parts = borders.slice(1).map((end, index) => whole.subarray(borders[index], end));
  const body = { model: "m", messages: [], stream: true, ...request };
  return textOf(await framesOf(await call(() => events(parts.filter((part) => part.length > 0)), body, repairs)));
}

const MODEL = "m";
const HEAD = { id: "chatcmpl-1", object: "chat.completion.chunk", created: 1_700_000_000, model: MODEL };
const chunk = (
  delta: WireDelta & { reasoning?: string; thinking?: string; reasoning_content?: string; refusal?: null },
  finish: string | null = null,
  index = 0,
) => ({
  ...HEAD,
  choices: [{ index, delta, finish_reason: finish }],
});
const DONE = "data: [DONE]\n\n";
const write = (...chunks: object[]) => chunks.map(sseEvent).join("") + DONE;
const read = (text: string, request: object = {}) => seenStream(text, { model: MODEL, ...request }, true);
/** What the rules of the SDKs and the published schema say against a stream. */
function violations(seen: SeenStream): string[] {
  return [
    ...[...FRAMING_RULES, ...CHAT_STREAM_RULES].flatMap((rule) => {
      const found = rule.seen(seen);
      return found === undefined ? [] : [`${rule.never}: ${JSON.stringify(found).slice(0, 300)}`];
    }),
    ...seen.chunks.flatMap((each) => shapeViolations("CreateChatCompletionStreamResponse", each)),
  ];
}

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

interface WireCall {
  index?: number;
  id?: string | null;
  type?: string | null;
  function: { name?: string | null; arguments?: string | object };
}
interface WireDelta {
  role?: string | null;
  content?: string | null;
  tool_calls?: WireCall[] | null;
}
interface WireChoice {
  index: number;
  delta?: WireDelta;
  finish_reason?: string | null;
}
interface WireChunk {
  created?: number;
  choices?: WireChoice[] | null;
  usage?: { prompt_tokens: number; completion_tokens: number; total_tokens?: number } | null;
}

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

describe("a stream", () => {
  test("that ends without [DONE] is whole when every choice has ended, and broken off when not", async () => {
    const good = write(chunk({ role: "assistant", content: "a" }), chunk({}, "stop"));
    expect(await streamed(good.replace(DONE, ""))).toBe(good);
    const cut = write(chunk({ role: "assistant", content: "a" })).replace(DONE, "");
    const error = await streamed(cut).catch((thrown) => thrown);
    expect(error.row).toBe("engine_interrupted");
    const strict = await streamed(good.replace(DONE, ""), {}, []).catch((thrown) => thrown);
    expect(strict.row).toBe("engine_interrupted");
  });

  test("that is aborted, empty, or holds what is no event, is broken off", async () => {
    for (const text of [
      write(chunk({ role: "assistant", content: "a" }), chunk({}, "abort")),
      write(chunk({ role: "assistant", content: "a" }), chunk({}, "error")),
      DONE,
      "",
      `data: {"id":"chatcmpl-1","choices":[{"ind\n\n${DONE}`,
      `data: 42\n\n${DONE}`,
    ]) {
      const error = await streamed(text).catch((thrown) => thrown);
      expect([text, error.row]).toEqual([text, "engine_interrupted"]);
    }
  });

  test("that carries an error ends with it, and what was good comes first", async () => {
    const told = { error: { message: "no more blocks", type: "BadRequestError", param: null, code: 400 } };
    const answer = await call(
      () => events([bytesOf(sseEvent(chunk({ role: "assistant", content: "a" })) + sseEvent(told) + DONE)]),
      { model: "m", stream: true },
    );
    if (answer.kind !== "stream") throw new Error("not a stream");
    expect(textOf([(await answer.events.next())!])).toBe(sseEvent(chunk({ role: "assistant", content: "a" })));
    const frame = (await answer.events.next())!;
    expect(frame.last).toBe(true);
    expect(read(textOf([frame])).errors).toHaveLength(1);
    expect((frame.error as RelayedError).body.error).toEqual({
      message: "no more blocks",
      type: "invalid_request_error",
      param: null,
      code: null,
    });
  });

  test("tells its counts to us, though the caller did not ask, and estimates them where the engine is silent", async () => {
    const counted = { ...HEAD, choices: [], usage: { prompt_tokens: 11, completion_tokens: 2, total_tokens: 13 } };
    const good = [chunk({ role: "assistant", content: "abcdefgh" }), chunk({}, "stop")];
    for (const repairs of [EVERY, []]) {
      const body = { model: "m", messages: [], stream: true };
      const frames = await framesOf(await call(() => events([bytesOf(write(...good, counted))]), body, repairs));
      expect(frames.at(-1)!.usage).toEqual({ prompt_tokens: 11, completion_tokens: 2 });
      expect(textOf(frames)).toBe(write(...good));
    }
    const body = { model: "m", messages: [{ role: "user", content: "x".repeat(400) }], stream: true };
    const silent = await framesOf(await call(() => events([bytesOf(write(...good))]), body));
    expect(silent.at(-1)!.usage).toEqual({ prompt_tokens: 108, completion_tokens: 2 });
  });

  test("nobody asked for is no answer", async () => {
    const error = await call(() => events([bytesOf(DONE)]), { model: "m" }).catch((thrown) => thrown);
    expect(error.row).toBe("engine_failed");
  });

  test("moves reasoning to where every SDK looks for it", async () => {
    const text = write(
      chunk({ role: "assistant", reasoning: "hm" }),
      chunk({ thinking: " so" }),
      chunk({ content: "yes" }),
      chunk({}, "stop"),
    );
    expect(await streamed(text)).toBe(
      write(
        chunk({ role: "assistant", reasoning_content: "hm" }),
        chunk({ reasoning_content: " so" }),
        chunk({ content: "yes" }),
        chunk({}, "stop"),
      ),
    );
  });

  test("cuts reasoning out of its text, wherever the marks are torn", async () => {
    const said = "<think>\nif a < b\n</think>\n\nthen <b>";
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(fc.integer({ min: 1, max: said.length - 1 }), { maxLength: 8 }), async (cuts) => {
        const borders = [0, ...cuts.sort((a, b) => a - b), said.length];
        const pieces = borders.slice(1).map((end, index) => said.slice(borders[index], end));
        const text = write(...pieces.map((content) => chunk({ role: "assistant", content })), chunk({}, "stop"));
        const deltas = deltasOf(read(await streamed(text)))
          .get(0)!
          .map(({ delta }) => delta);
        expect(deltas.map(({ reasoning_content }) => reasoning_content ?? "").join("")).toBe("if a < b\n");
        expect(deltas.map(({ content }) => content ?? "").join("")).toBe("then <b>");
      }),
      { numRuns: 60 },
    );
  });
});

describe("a whole answer", () => {
  const message = { role: "assistant", content: "Hi", refusal: null };
  const usage = { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 };
  const GOOD = {
    id: "chatcmpl-1",
    object: "chat.completion",
    created: 1_700_000_000,
    model: MODEL,
    choices: [{ index: 0, message, finish_reason: "stop" }],
    usage,
  };
  const mended = async (answer: object | string, request: object = {}, repairs = EVERY, path = CHAT) => {
    const text = typeof answer === "string" ? answer : JSON.stringify(answer);
    const got = await call(
      () => new Response(text, { headers: { "content-type": "text/plain" } }),
      { model: "m", ...request },
      repairs,
      path,
    );
    if (got.kind !== "whole") throw new Error("not whole");
    return { raw: Buffer.from(got.bytes).toString(), usage: got.usage };
  };

  test("that is good passes byte for byte", async () => {
    const odd = JSON.stringify(GOOD, null, 2).replace("1700000000", '1700000000, "seed": 12345678901234567890');
    for (const repairs of [EVERY, []]) {
      expect((await mended(odd, {}, repairs)).raw).toBe(odd);
      expect((await mended(odd, {}, repairs)).usage).toEqual({ prompt_tokens: 5, completion_tokens: 2 });
    }
  });

  test("with gaps is completed until no SDK breaks on it", async () => {
    const call = { id: "", function: { name: "f", arguments: { a: 1 } } };
    const answers: object[] = [
      { choices: [{ message: { content: "Hi" } }] },
      { ...GOOD, error: null, created: 1.5, choices: [{ ...GOOD.choices[0], finish_reason: "eos" }] },
      { ...GOOD, choices: [{ index: 0, message: { ...message, tool_calls: [] }, finish_reason: "" }] },
      {
        ...GOOD,
        choices: [{ index: 0, message: { content: null, tool_calls: [call, { ...call }] }, finish_reason: "stop" }],
      },
      { ...GOOD, choices: [{ index: 0, message: { tool_calls: [{ ...call, function: { name: "f" } }] } }] },
      { ...GOOD, usage: { prompt_tokens: 5, completion_tokens: 2 } },
      { ...GOOD, usage: null },
    ];
    for (const answer of answers) {
      const { raw } = await mended(answer);
      const body = JSON.parse(raw);
      const seen = { raw, contentType: "application/json", body, request: { model: MODEL } };
      const found = CHAT_WHOLE_RULES.flatMap((rule) => (rule.seen(seen) === undefined ? [] : [rule.never]));
      expect([raw, found, shapeViolations("CreateChatCompletionResponse", body)]).toEqual([raw, [], []]);
    }
  });

  test("names the model as we do", async () => {
    const text = JSON.stringify({ ...GOOD, model: "org/Theirs" });
    const got = await call(() => new Response(text), { model: "m" }, [], CHAT, new Map([["m", "org/Theirs"]]));
    expect(got.kind === "whole" && JSON.parse(Buffer.from(got.bytes).toString()).model).toBe("m");
  });

  test("keeps its reasoning apart from its text", async () => {
    const told = { ...message, content: "<think>hm</think>yes" };
    const body = JSON.parse(
      (await mended({ ...GOOD, choices: [{ index: 0, message: told, finish_reason: "stop" }] })).raw,
    );
    expect(body.choices[0].message).toMatchObject({ content: "yes", reasoning_content: "hm" });
  });

  test("that is none, or an error under status 200, is a failure", async () => {
    for (const [text, row] of [
      ["<html>", "engine_failed"],
      ["[]", "engine_failed"],
      ["{}", "engine_failed"],
      ['{"choices":[]}', "engine_failed"],
      ['{"error":"out of memory"}', "engine_failed"],
      ['{"object":"error","message":"boom","code":500}', "engine_failed"],
    ] as const) {
      const error = await mended(text).catch((thrown) => thrown);
      expect([text, error.row]).toEqual([text, row]);
    }
    const theirs = await mended('{"error":{"message":"bad top_k","type":"invalid_request_error","code":400}}').catch(
      (thrown) => thrown,
    );
    expect([theirs.status, theirs.body.error.message]).toEqual([400, "bad top_k"]);
  });

  test("of the older endpoint and of embeddings is completed too", async () => {
    const completion = JSON.parse(
      (await mended({ choices: [{ text: "Hi" }] }, { prompt: "Hello" }, EVERY, "/v1/completions")).raw,
    );
    expect(completion).toMatchObject({ object: "text_completion", model: MODEL });
    expect(completion.choices[0]).toEqual({ text: "Hi", index: 0, logprobs: null, finish_reason: "stop" });
    expect(completion.usage).toEqual({ prompt_tokens: 2, completion_tokens: 1, total_tokens: 3 });
    const rows = { data: [{ embedding: [0.1] }, { embedding: [0.2] }] };
    const embeddings = await mended(rows, { input: ["Hello", "you"] }, EVERY, "/v1/embeddings");
    expect(JSON.parse(embeddings.raw)).toMatchObject({
      object: "list",
      data: [
        { object: "embedding", index: 0 },
        { object: "embedding", index: 1 },
      ],
      usage: { prompt_tokens: 4, total_tokens: 4 },
    });
    expect(embeddings.usage).toEqual({ prompt_tokens: 4, completion_tokens: 0 });
  });
});

test("embeddings come in the form that was asked for", async () => {
  const numbers = [0.5, -1.25, 3];
  const packed = Buffer.from(new Float32Array(numbers).buffer).toString("base64");
  const usage = { prompt_tokens: 1, total_tokens: 1 };
  const said = async (embedding: unknown, encoding_format?: string) => {
    const answer = { object: "list", model: MODEL, data: [{ object: "embedding", index: 0, embedding }], usage };
    const request = { model: "m", input: "x", encoding_format };
    const got = await call(() => Response.json(answer), request, EVERY, "/v1/embeddings");
    return got.kind === "whole" && JSON.parse(Buffer.from(got.bytes).toString()).data[0].embedding;
  };
  expect(await said(numbers, "base64")).toBe(packed);
  expect(await said(packed, "base64")).toBe(packed);
  expect(await said(packed, "float")).toEqual(numbers);
  expect(await said(packed)).toEqual(numbers);
  expect(await said(numbers)).toEqual(numbers);
});

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

describe("an engine that counts what cannot be counted", () => {
  const answer = (usage: object) => () =>
    Response.json({
      id: "a",
      object: "chat.completion",
      created: 1,
      model: "m",
      choices: [{ index: 0, message: { role: "assistant", content: "four words are here" }, finish_reason: "stop" }],
      usage,
    });

  for (const wrong of [-5, 1e300, 1.5, 1e18, "7", null]) {
    for (const repairs of [EVERY, []]) {
      test(`${JSON.stringify(wrong)} tokens reach no ledger, ${repairs.length === 0 ? "unmended" : "mended"}`, async () => {
        const body = { model: "m", messages: [{ role: "user", content: "Hello" }] };
        const both = await call(answer({ prompt_tokens: wrong, completion_tokens: wrong }), body, repairs);
        const one = await call(answer({ prompt_tokens: 3, completion_tokens: wrong }), body, repairs);
        for (const got of [both, one]) {
          if (got.kind !== "whole") throw new Error("not whole");
          expect(Number.isInteger(got.usage!.prompt_tokens) && got.usage!.prompt_tokens > 0).toBe(true);
          const out = got.usage!.completion_tokens;
          expect(Number.isInteger(out) && out >= 0 && out < 100).toBe(true);
          if (repairs.length === 0) continue;
          const shown = (JSON.parse(Buffer.from(got.bytes).toString()) as { usage: Record<string, number> }).usage;
          expect(shown.total_tokens).toBe(got.usage!.prompt_tokens + got.usage!.completion_tokens);
        }
      });
    }
  }
});

test("a whole answer without an end is given up before it takes the memory of all", async () => {
  let sent = 0;
  const endless = () =>
    new Response(
      new ReadableStream({
        pull: (controller) => {
          sent += 64;
          controller.enqueue(new Uint8Array(64).fill(0x20));
        },
      }),
      { headers: { "content-type": "application/json" } },
    );
  await expect(readWhole(endless(), 4_096)).rejects.toThrow("could not be understood");
  expect(sent).toBeLessThan(10_000);
  const said = new Response(new Uint8Array(5_000), { headers: { "content-length": "5000" } });
  await expect(readWhole(said, 4_096)).rejects.toThrow("could not be understood");
  expect((await readWhole(new Response(new Uint8Array(4_096)), 4_096)).length).toBe(4_096);
});
