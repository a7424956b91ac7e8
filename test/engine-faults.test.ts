// Every way in which an engine fails, as its caller, the ledger and the engine's slot see it: alone, and with another engine
// beside it.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { type Outcome, SSE_DONE, SSE_HEADERS, sseEvent } from "@oxbow/contract";
import OpenAI, { APIError } from "openai";
import { openUsage } from "../server/ledger/ledger.ts";
import { dataWith } from "./data.ts";
import { eventually, KEY, type RunningServer, startServer } from "./harness.ts";
import { type Simulator, startSimulator } from "./simulators.ts";

setDefaultTimeout(60_000);

/** Served by one engine, and by that one and another. */
const ALONE = "mistral-7b";
const SHARED = "llama-3.2-3b";

/** Of an engine that answers in the other form than was asked for. */
const CONTRARY = "qwen-2.5-7b";

let faulty: Simulator;
let sound: Simulator;
let contrary: ReturnType<typeof Bun.serve>;
let server: RunningServer;
let client: OpenAI;
let removeData: () => void;

beforeAll(async () => {
  [faulty, sound] = await Promise.all([
    startSimulator({ models: [ALONE, SHARED] }),
    startSimulator({ models: [SHARED] }),
  ]);
  contrary = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: answerContrarily });
  const data = dataWith((table) => {
    table.engines = {
      contrary: { kind: "openai", url: `${contrary.url.origin}/v1`, models: [{ id: CONTRARY }], slots: 1 },
      // One slot: whether it is free is seen by the next call.
      faulty: { kind: "vllm", url: faulty.url, models: [{ id: ALONE }, { id: SHARED }], slots: 1, weight: 1_000 },
      sound: { kind: "vllm", url: sound.url, models: [{ id: SHARED }], slots: 8, weight: 0.001 },
    };
  });
  removeData = data.remove;
  const env = {
    OXBOW_DATA: data.folder,
    OXBOW_FIRST_TOKEN_MS_MAX: "700",
    OXBOW_CHUNK_GAP_MS_MAX: "700",
    OXBOW_ANSWER_MS_MAX: "1000",
    OXBOW_BUSY_MS_MAX: "800",
    OXBOW_EJECT_ERRORS_MAX: "1000",
    OXBOW_RETRY_PERCENT_MAX: "100",
  };
  server = await startServer({ env });
  client = new OpenAI({ apiKey: KEY, baseURL: server.baseUrl, maxRetries: 0 });
}, 90_000);
afterAll(async () => {
  await server?.stop();
  await Promise.all([faulty?.stop(), sound?.stop(), contrary?.stop(true)]);
  removeData?.();
});

async function answerContrarily(request: Request): Promise<Response> {
  if (request.method === "GET") return Response.json({ object: "list", data: [{ id: CONTRARY }] });
  const { stream } = (await request.json()) as { stream?: boolean };
  const head = { id: "chatcmpl-1", created: 1, model: CONTRARY };
  const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
  if (stream) {
    const message = { role: "assistant", content: "Hello there", refusal: null };
    const choices = [{ index: 0, message, logprobs: null, finish_reason: "stop" }];
    return Response.json({ ...head, object: "chat.completion", choices, usage });
  }
  const chunk = (delta: object, finish_reason: string | null = null) =>
    sseEvent({ ...head, object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason }] });
  const text = chunk({ role: "assistant", content: "Hello" }) + chunk({ content: " there" }) + chunk({}, "stop");
  return new Response(text + sseEvent({ ...head, choices: [], usage }) + SSE_DONE, { headers: SSE_HEADERS });
}

type Seen = string;

async function call(model: string, stream: boolean): Promise<Seen> {
  const body = { model, messages: [{ role: "user" as const, content: "Hello" }] };
  let pieces = 0;
  try {
    if (!stream) {
      const answer = await client.chat.completions.create(body);
      return answer.choices[0]!.message.content ? "answer" : "nothing";
    }
    for await (const chunk of await client.chat.completions.create({ ...body, stream })) {
      if (chunk.choices[0]?.delta.content) pieces++;
    }
    return pieces > 0 ? "answer" : "nothing";
  } catch (error) {
    if (!(error instanceof APIError)) return `${pieces > 0 ? "some, then " : ""}${error}`;
    return pieces > 0 ? `some, then ${error.code}` : `${error.status} ${error.code}`;
  }
}

function outcomes(): (Outcome | null)[] {
  const usage = openUsage(server.home);
  const rows = usage?.rows({}, { limit: 1_000 })?.rows ?? [];
  usage?.close();
  return rows.map(({ outcome }) => outcome);
}

interface Row {
  name: string;
  what: object;
  /** For a stream and for a whole answer, of an engine that is alone: what the caller sees, and what the ledger has. */
  stream: [Seen, Outcome];
  whole: [Seen, Outcome];
  /** The same with another engine beside it, where that helps. */
  shared?: { stream?: [Seen, Outcome]; whole?: [Seen, Outcome] };
}

const GOOD: [Seen, Outcome] = ["answer", "complete"];
const FAILED: [Seen, Outcome] = ["502 engine_failed", "engine_failed"];
const SILENT: [Seen, Outcome] = ["504 engine_timeout", "engine_failed"];
const REFUSED: [Seen, Outcome] = ["503 queue_timeout", "refused"];
const error = (row: string) => ({ fault: { kind: "error", error: row } });

const ROWS: Row[] = [
  { name: "slow headers", what: { headersMs: 300 }, stream: GOOD, whole: GOOD },
  {
    name: "a stall before the headers",
    what: { headersMs: 3_600_000 },
    stream: SILENT,
    whole: SILENT,
    shared: { stream: GOOD, whole: GOOD },
  },
  {
    name: "a stall in the middle",
    what: { fault: { kind: "stall", afterTokens: 5 } },
    stream: ["some, then engine_timeout", "interrupted"],
    whole: SILENT,
    shared: { whole: GOOD },
  },
  {
    name: "a reset at byte 1500",
    what: { fault: { kind: "reset", atByte: 1_500 } },
    stream: ["some, then engine_interrupted", "interrupted"],
    whole: GOOD, // it is shorter
  },
  {
    name: "a reset before the first byte",
    what: { fault: { kind: "reset", atByte: 0 } },
    stream: FAILED,
    whole: FAILED,
    shared: { stream: GOOD, whole: GOOD },
  },
  {
    name: "events that are none",
    what: { fault: { kind: "garbage", afterTokens: 5 } },
    stream: ["some, then engine_interrupted", "interrupted"],
    whole: FAILED,
  },
  {
    name: "an error in the middle",
    what: { fault: { kind: "interrupt", afterTokens: 5 } },
    stream: ["some, then engine_failed", "interrupted"],
    whole: FAILED,
    shared: { whole: GOOD },
  },
  {
    name: "429",
    what: error("rate_limit_exceeded"),
    stream: REFUSED,
    whole: REFUSED,
    shared: { stream: GOOD, whole: GOOD },
  },
  { name: "503", what: error("queue_full"), stream: REFUSED, whole: REFUSED, shared: { stream: GOOD, whole: GOOD } },
  { name: "504", what: error("engine_timeout"), stream: SILENT, whole: SILENT, shared: { stream: GOOD, whole: GOOD } },
  { name: "500", what: error("internal_error"), stream: FAILED, whole: FAILED },
  {
    name: "502 with a page for people",
    what: { fault: { kind: "html" } },
    stream: FAILED,
    whole: FAILED,
    shared: { stream: GOOD, whole: GOOD },
  },
  { name: "200 and nothing", what: { fault: { kind: "empty" } }, stream: FAILED, whole: FAILED },
];

test.each(ROWS.map((row) => [row.name, row] as const))("%s", async (_, { what, stream, whole, shared }) => {
  const seen: Record<string, [Seen, Outcome | null]> = {};
  for (const model of [ALONE, SHARED]) {
    for (const streamed of [true, false]) {
      await faulty.simulate(what);
      const before = outcomes().length;
      const saw = await call(model, streamed);
      await faulty.simulate({});
      const rows = await eventually(() => {
        const now = outcomes();
        return now.length > before ? now : null;
      }, "the call has ended in the ledger");
      expect(rows.length).toBe(before + 1); // whatever happened inside
      seen[`${model} ${streamed ? "streamed" : "whole"}`] = [saw, rows[0]!];
      expect(await call(ALONE, false)).toBe("answer"); // its one slot is free
    }
  }
  expect(seen).toEqual({
    [`${ALONE} streamed`]: stream,
    [`${ALONE} whole`]: whole,
    [`${SHARED} streamed`]: shared?.stream ?? stream,
    [`${SHARED} whole`]: shared?.whole ?? whole,
  });
});

test("an engine that never takes more gives its caller back soon, who hears when to come again", async () => {
  await faulty.simulate(error("rate_limit_exceeded"));
  const askedMs = performance.now();
  const body = { model: ALONE, messages: [{ role: "user" as const, content: "Hello" }] };
  const refused = await client.chat.completions.create(body).catch((thrown) => thrown as APIError);
  await faulty.simulate({});
  expect(refused).toMatchObject({ status: 503, code: "queue_timeout" });
  expect((refused as APIError).headers!.get("retry-after")).toMatch(/^[1-9]\d?$/);
  expect(performance.now() - askedMs).toBeLessThan(5_000);
});

test("an engine that streams what was to be whole, and sends whole what was to be streamed, serves both", async () => {
  const body = { model: CONTRARY, messages: [{ role: "user" as const, content: "Hello" }] };
  const whole = await client.chat.completions.create(body);
  expect([whole.object, whole.choices[0]!.message.content]).toEqual(["chat.completion", "Hello there"]);
  const final = await client.chat.completions
    .stream({ ...body, stream_options: { include_usage: true } })
    .finalChatCompletion();
  expect([final.choices[0]!.message.content, final.choices[0]!.finish_reason]).toEqual(["Hello there", "stop"]);
  expect([whole.usage, final.usage].map((usage) => usage!.total_tokens)).toEqual([5, 5]);
  expect(outcomes().slice(0, 2)).toEqual(["complete", "complete"]);
});
