import { expect, test } from "bun:test";
import type { EngineAnswer } from "./answer.ts";
import { createEngine } from "./engine.ts";

const PATH = "/v1/audio/transcriptions";

/** What an engine's stream comes to, cut at every so many bytes. */
async function transcribed(stream: string, bytesEach = 7): Promise<string> {
  const bytes = new TextEncoder().encode(stream);
  const parts = Array.from({ length: Math.ceil(bytes.length / bytesEach) }, (_, at) =>
    bytes.subarray(at * bytesEach, (at + 1) * bytesEach),
  );
  using server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () => new Response(streamOf(parts), { headers: { "content-type": "text/event-stream" } }),
  });
  const remote = {
    health: null,
    version: null,
    metrics: null,
    repairs: [],
    refusals: [],
    callRepairs: [],
    privateFields: [],
    rename: {},
    roles: {},
    toolChoices: [],
  };
  const engine = createEngine({
    id: "far",
    kind: "vllm",
    features: [],
    simulated: false,
    slots: 1,
    address: { baseUrl: `${server.url.origin}/v1` },
    remote: remote as unknown as NonNullable<Parameters<typeof createEngine>[0]["remote"]>,
  });
  const form = new TextEncoder().encode("a form");
  const contentType = "multipart/form-data; boundary=x";
  return textOf(await engine.call(PATH, form, { signal: new AbortController().signal, contentType, model: "m" }));
}

function streamOf(parts: Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      for (const part of parts) controller.enqueue(part);
      controller.close();
    },
  });
}

async function textOf(answer: EngineAnswer): Promise<string> {
  if (answer.kind !== "stream") throw new Error(`a stream was expected, and it is ${answer.kind}`);
  let text = "";
  for (let frame = await answer.events.next(); frame; frame = await answer.events.next()) {
    text += Buffer.from(frame.bytes).toString();
    if (frame.last) break;
  }
  return text;
}

const chunk = (choice: object, more = {}) =>
  `data: ${JSON.stringify({ id: "trsc-1", object: "transcription.chunk", created: 1, model: "whisper", choices: [choice], ...more })}\n\n`;
const SAID = [chunk({ delta: { content: " Grüße" } }), chunk({ delta: { content: " an" } })];
const STRETCH = chunk({ delta: { content: "" }, finish_reason: "stop", stop_reason: null });
const REST = [chunk({ delta: { content: " alle." } }), STRETCH];
const DONE = "data: [DONE]\n\n";

test.each([1, 7, 64, 4096])(
  "chunks as of a chat become the events of a transcript, cut at every %d bytes",
  async (each) => {
    const events = (await transcribed(SAID.join("") + STRETCH + REST.join("") + DONE, each)).trim().split("\n\n");
    expect(events.map((event) => JSON.parse(event.slice("data: ".length)))).toEqual([
      { type: "transcript.text.delta", delta: " Grüße" },
      { type: "transcript.text.delta", delta: " an" },
      { type: "transcript.text.delta", delta: " alle." },
      { type: "transcript.text.done", text: " Grüße an alle." },
    ]);
  },
);

test("what was counted comes with the end", async () => {
  const usage = { prompt_tokens: 1500, completion_tokens: 4, total_tokens: 1504 };
  const events = await transcribed(SAID.join("") + STRETCH + chunk({}, { choices: [], usage }) + DONE);
  expect(JSON.parse(events.trim().split("\n\n").at(-1)!.slice(6)).usage).toEqual({
    type: "tokens",
    input_tokens: 1500,
    input_token_details: { text_tokens: 0, audio_tokens: 1500 },
    output_tokens: 4,
    total_tokens: 1504,
  });
});

test("a recording in which nothing is said has an end too", async () => {
  expect(await transcribed(STRETCH + DONE)).toBe('data: {"type":"transcript.text.done","text":""}\n\n');
});

test("events of the known form pass as they are, with [DONE] behind them or without", async () => {
  const known =
    'data: {"type": "transcript.text.delta","delta":"Hi"}\n\ndata: {"type":"transcript.text.done","text":"Hi"}\n\n';
  expect(await transcribed(known)).toBe(known);
  expect(await transcribed(known + DONE)).toBe(known);
});

test("a stream that breaks off is no transcript", async () => {
  expect(await transcribed(SAID.join("")).catch((error) => error.row)).toBe("engine_interrupted");
  expect(await transcribed(`${SAID[0]}data: what is this\n\n`).catch((error) => error.row)).toBe("engine_interrupted");
});

test("an error between the chunks is told in the envelope", async () => {
  const flat = 'data: {"object":"error","message":"out of memory","type":"InternalServerError","code":500}\n\n';
  expect(await transcribed(SAID[0] + flat)).toContain(
    'data: {"error":{"message":"The engine failed to answer. Try again."',
  );
});
