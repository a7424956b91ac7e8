// The onnx worker is killed while it works: whoever had nothing of an answer yet gets one, from the worker that comes after it
// or from the one beside it; whoever had begun to hear an answer hears that it broke off; and the next call is served.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import OpenAI, { toFile } from "openai";
import { writeBert } from "../models/fixtures/bert.ts";
import { writeKokoro } from "../models/fixtures/kokoro.ts";
import { writeWhisper } from "../models/fixtures/whisper.ts";
import { adminPlan } from "./data.ts";
import { eventually, KEY } from "./harness.ts";
import { dataWithOnnx, warm } from "./onnx-data.ts";
import { childrenOf } from "./processes.ts";
import { wavOf } from "./recordings.ts";
import { useServer } from "./suite.ts";

const within = (write: (folder: string) => void) => (folder: string) => {
  write(folder);
  return folder;
};
const bert = {
  write: within(writeBert),
  entry: { category: "embeddings", contextTokens: 128, dimensions: 64, embedding: { pooling: "mean" } },
};
const data = dataWithOnnx(
  {
    alone: bert,
    shared: bert,
    ear: { write: within(writeWhisper), entry: { category: "audio", capabilities: ["transcription"] } },
    mouth: { write: within(writeKokoro), entry: { category: "audio", capabilities: ["speech"] } },
  },
  {
    plans: adminPlan({ requestsPerMinute: null }),
    engines: ({ engines }) => {
      engines.second = { ...engines.shared! };
    },
  },
);
afterAll(data.remove);
const server = useServer({ simulate: true, env: { OXBOW_DATA: data.folder } });
setDefaultTimeout(120_000);
const client = () => new OpenAI({ baseURL: server().baseUrl, apiKey: KEY, maxRetries: 0 });

beforeAll(() => warm(server(), ["alone", "shared", "ear", "mouth"]), 120_000);

/** The workers that host `model`, and what each counts. */
function workersOf(model: string) {
  return childrenOf(server().pid).flatMap(({ pid, command }) => {
    const socket = /"socket":"([^"]+)"/.exec(command)?.[1];
    if (!command.includes("workers/onnx/main.ts") || !command.includes(`"id":"${model}"`) || !socket) return [];
    const sampleOf = async (name: string) => {
      const text = await (await fetch("http://worker/metrics", { unix: socket })).text();
      return Number(new RegExp(`^\\S*${name}(?:\\{.*\\})? (\\S+)$`, "m").exec(text)?.[1] ?? Number.NaN);
    };
    return [{ pid, sampleOf }];
  });
}

const CALLERS = 6;
const inputOf = (caller: number) => Array.from({ length: 300 }, (_, at) => `caller ${caller}, text ${at} of many`);
const embed = async (model: string, caller: number) => {
  const { data: vectors } = await client().embeddings.create({ model, input: inputOf(caller) });
  return vectors.map(({ embedding }) => embedding);
};
const everyone = (model: string) => Promise.all(Array.from({ length: CALLERS }, (_, caller) => embed(model, caller)));

test.each(["alone", "shared"])("killed in the middle of a batch (%s): every caller gets its vectors", async (model) => {
  const before = await everyone(model);
  const workers = workersOf(model);
  expect(workers).toHaveLength(model === "alone" ? 1 : 2);
  const asked = everyone(model);
  const victim = await eventually(
    async () => {
      for (const worker of workers) if ((await worker.sampleOf("inputs_waiting")) > 0) return worker;
    },
    "a worker has texts that wait for a batch",
    30_000,
  );
  process.kill(victim.pid, "SIGKILL");
  expect(await asked).toEqual(before);
  await eventually(() => workersOf(model).length === workers.length, "a worker has come in its place", 30_000);
  expect(workersOf(model).map(({ pid }) => pid)).not.toContain(victim.pid);
  expect(await embed(model, 0)).toEqual(before[0]!);
});

test("killed while it speaks: what was heard breaks off, and the next text is spoken", async () => {
  const call = { model: "mouth", voice: "af_heart", response_format: "pcm" } as const;
  const long = await client().audio.speech.create({ ...call, input: "One more sentence to be spoken. ".repeat(120) });
  const reader = long.body!.getReader();
  expect((await reader.read()).done).toBe(false);
  const [worker] = workersOf("mouth");
  process.kill(worker!.pid, "SIGKILL");
  const rest = (async () => {
    while (!(await reader.read()).done);
  })();
  expect(await rest.then(() => "it ended as if nothing had happened").catch(() => "broken off")).toBe("broken off");
  const next = await client().audio.speech.create({ ...call, input: "Hello." });
  expect((await next.arrayBuffer()).byteLength).toBeGreaterThan(1_000);
});

test("killed while it listens: a stream has an error in it and no end, and the next recording is heard", async () => {
  const file = () => toFile(wavOf(240), "a.wav");
  const stream = await client().audio.transcriptions.create({ model: "ear", file: await file(), stream: true });
  const types: string[] = [];
  const error = await (async () => {
    for await (const { type } of stream) {
      if (types.push(type) === 1) process.kill(workersOf("ear")[0]!.pid, "SIGKILL");
    }
    return null;
  })().catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "engine_interrupted" });
  expect(types).not.toContain("transcript.text.done");
  const { text } = await client().audio.transcriptions.create({ model: "ear", file: await toFile(wavOf(2), "a.wav") });
  expect(text).toContain("hello");
});
