// Audio by way of an engine that is a server of somebody else: forms go out under its own name of the model, sound and events
// come back as they are. The other server is one of ours, which a client cannot tell.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import OpenAI, { toFile } from "openai";
import { dataWith } from "./data.ts";
import { KEY, type RunningServer, startServer } from "./harness.ts";
import { wavOf } from "./recordings.ts";
import { type Simulator, startSimulator } from "./simulators.ts";

setDefaultTimeout(60_000);

let far: RunningServer;
let near: RunningServer;
let vllm: Simulator;
let data: ReturnType<typeof dataWith>;
beforeAll(async () => {
  far = await startServer({ simulate: true });
  const hears = { id: "openai/whisper-large-v3", category: "audio", capabilities: ["transcription"] };
  vllm = await startSimulator({ models: [hears], options: { dress: "vllm" } });
  data = dataWith((table) => {
    const models = [
      { id: "whisper-medium", name: "openai/whisper-medium" },
      { id: "kokoro-82m", name: "kokoro" },
    ];
    // Through the tap: what goes to it can be looked at.
    const heard = [{ id: "whisper-large-v3", name: "openai/whisper-large-v3" }];
    table.engines = {
      vllm: { kind: "vllm", url: vllm.url, models: heard, slots: 4 },
      far: { kind: "openai", url: far.baseUrl, models, slots: 4, apiKeyEnv: "FAR_KEY" },
    };
  });
  near = await startServer({ env: { OXBOW_DATA: data.folder, FAR_KEY: KEY } });
}, 120_000);
afterAll(async () => {
  await near?.stop();
  await far?.stop();
  await vllm?.stop();
  data?.remove();
});

const client = () => new OpenAI({ baseURL: near.baseUrl, apiKey: KEY, maxRetries: 0 });
const file = () => toFile(wavOf(4), "a.wav");
/** The body of the last call that went out. */
const sent = () => far.tap.exchanges().findLast(({ request }) => request.startLine.startsWith("POST"))!.request.body;

test("a recording goes out in a form under the other server's name of the model, and its text comes back", async () => {
  const { text } = await client().audio.transcriptions.create({
    model: "whisper-medium",
    file: await file(),
    response_format: "verbose_json",
    timestamp_granularities: ["word"],
  });
  expect(text).toStartWith("This is a simulated transcript.");
  const body = sent().toString("latin1");
  expect(body).toContain('name="model"\r\n\r\nopenai/whisper-medium\r\n');
  expect(body).toContain('name="timestamp_granularities[]"\r\n\r\nword\r\n');
  const srt = await client().audio.transcriptions.create({
    model: "whisper-medium",
    file: await file(),
    response_format: "srt",
  });
  expect(srt as string).toStartWith("1\n00:00:00,000");
});

test("a stream of a transcript, and sound, pass through", async () => {
  const stream = await client().audio.transcriptions.create({
    model: "whisper-medium",
    file: await file(),
    stream: true,
  });
  const types: string[] = [];
  for await (const { type } of stream) types.push(type);
  expect(types.at(-1)).toBe("transcript.text.done");
  expect(types.length).toBeGreaterThan(3);
  const call = { model: "kokoro-82m", voice: "alloy", input: "Hello far away.", response_format: "wav" } as const;
  const there = new OpenAI({ baseURL: far.baseUrl, apiKey: KEY });
  const [here, direct] = [await client().audio.speech.create(call), await there.audio.speech.create(call)];
  expect(here.headers.get("content-type")).toBe("audio/wav");
  expect(Buffer.from(await here.arrayBuffer())).toEqual(Buffer.from(await direct.arrayBuffer()));
  const events = await (await client().audio.speech.create({ ...call, stream_format: "sse" })).text();
  expect(events).toContain('"type":"speech.audio.done"');
});

test("a stream of a transcript in vLLM's form comes in OpenAI's", async () => {
  const stream = await client().audio.transcriptions.create({
    model: "whisper-large-v3",
    file: await file(),
    stream: true,
  });
  const deltas: string[] = [];
  let text: string | null = null;
  for await (const event of stream) {
    if (event.type === "transcript.text.delta") deltas.push(event.delta);
    if (event.type === "transcript.text.done") text = event.text;
  }
  expect(deltas.length).toBeGreaterThan(3);
  expect(text).toBe(deltas.join(""));
  expect(text).toStartWith("This is a simulated transcript.");
});

test("every answer kept the contract on both sides", () => {
  near.assertTraffic();
  far.assertTraffic();
});
