// One of three engines dies under calls of every sort: texts, vectors, uploads, speech, images, whole and in pieces. What has
// not begun goes to another engine, body and all; what has begun ends with a word about it; everything else is as if nothing
// had happened.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { loadConfig } from "../server/config.ts";
import { workerModels } from "../server/fleet/table.ts";
import { openUsage } from "../server/ledger/ledger.ts";
import { adminPlan, dataWith } from "./data.ts";
import { allWarm, eventually, KEY, type RunningServer, startServer } from "./harness.ts";
import { formOf, wavOf } from "./recordings.ts";
import { drawScene } from "./scene.ts";
import { type Simulator, startSimulator } from "./simulators.ts";

setDefaultTimeout(120_000);

const MODELS = {
  chat: "mistral-7b",
  embeds: "bge-large",
  hears: "whisper-turbo",
  speaks: "kokoro-82m",
  paints: "oxlo-image-pro",
  detects: "yolov11",
};
/** Calls of each sort at the same time. */
const EACH = 6;

const catalogue = loadConfig({ env: {}, simulate: true }).models;
const ids = Object.values(MODELS).map((id) => ({ id }));
const entry = { id: "", kind: "", models: ids, slots: 1, weight: 1, tags: [], pinned: true, options: {} };
const models = workerModels(entry, [], catalogue);
const scene = `data:image/png;base64,${(await drawScene(64, 64, 1).png().toBuffer()).toString("base64")}`;

let engines: Simulator[];
let server: RunningServer;
let removeData: () => void;

beforeAll(async () => {
  engines = await Promise.all([1, 2, 3].map(() => startSimulator({ models })));
  const data = dataWith(
    ({ kinds, ...table }) => {
      const features = kinds.simulator!.features;
      kinds.anything = { features, remote: { health: "/health", keepAlive: false } };
      const entries = engines.map(({ url }, at) => [`far-${at}`, { kind: "anything", url, models: ids, slots: 64 }]);
      for (const id of Object.keys(table.engines)) delete table.engines[id];
      Object.assign(table.engines, Object.fromEntries(entries));
    },
    adminPlan({ requestsPerMinute: null, requestsPerDay: null, concurrencyMax: null }),
  );
  removeData = data.remove;
  server = await startServer({ env: { OXBOW_DATA: data.folder, OXBOW_SLOW_START_MS: "0" } });
  await allWarm(server.port);
}, 120_000);
afterAll(async () => {
  await server?.stop();
  await Promise.all(engines.map((engine) => engine.stop()));
  removeData?.();
});

interface Call {
  path: string;
  body: Uint8Array<ArrayBuffer> | string;
  contentType?: string;
  /** Nothing comes before everything is there. */
  whole: boolean;
}
const json = (path: string, body: object, whole = true): Call => ({ path, body: JSON.stringify(body), whole });
const upload = (fields: Record<string, string>, whole: boolean): Call => {
  const { body, headers } = formOf({ model: MODELS.hears, ...fields }, wavOf(6));
  return { path: "audio/transcriptions", body: new Uint8Array(body), contentType: headers["content-type"]!, whole };
};
const chat = { model: MODELS.chat, messages: [{ role: "user", content: "Tell me a story." }], seed: 1, max_tokens: 20 };
const speech = {
  model: MODELS.speaks,
  input: "A river bends, and an oxbow is what is left. ".repeat(3),
  voice: "af_heart",
};
const image = { model: MODELS.paints, prompt: "an oxbow", size: "256x256", response_format: "b64_json", seed: 1 };

const CALLS: Record<string, Call> = {
  "chat, whole": json("chat/completions", chat),
  "chat, streamed": json("chat/completions", { ...chat, stream: true }, false),
  vectors: json("embeddings", { model: MODELS.embeds, input: ["one", "two"] }),
  "an upload, whole": upload({}, true),
  "an upload, streamed": upload({ stream: "true" }, false),
  "speech as bytes": json("audio/speech", { ...speech, response_format: "pcm" }, false),
  "speech as events": json("audio/speech", { ...speech, response_format: "pcm", stream_format: "sse" }, false),
  "an image, whole": json("images/generations", image),
  "an image, streamed": json("images/generations", { ...image, stream: true, partial_images: 3 }, false),
  "boxes in an image": json("images/detections", { model: MODELS.detects, image: scene }),
};

interface Seen {
  status: number;
  /** Without what differs from answer to answer. */
  text: string;
  /** The connection was cut before the answer was complete. */
  cut: boolean;
}

/** @param begun called when the first bytes of the answer are there */
async function send({ path, body, contentType = "application/json" }: Call, begun = () => {}): Promise<Seen> {
  const headers = { authorization: `Bearer ${KEY}`, "content-type": contentType };
  const url = `http://127.0.0.1:${server.port}/v1/${path}`;
  const answer = await fetch(url, { method: "POST", headers, body });
  const pieces: Uint8Array[] = [];
  let cut = false;
  try {
    for await (const piece of answer.body!) {
      pieces.push(piece);
      begun();
    }
  } catch {
    cut = true;
  }
  const text = Buffer.concat(pieces)
    .toString("latin1")
    .replace(/"(id|obfuscation)":"[^"]*"/g, "")
    .replace(/"(created|created_at)":\d+/g, "");
  return { status: answer.status, text, cut };
}

const used = async () => {
  const answer = await fetch(`http://127.0.0.1:${server.port}/v1/engines`, {
    headers: { authorization: `Bearer ${KEY}` },
  });
  const { data } = (await answer.json()) as { data: { id: string; used: number; state: string }[] };
  return data;
};
const rows = () => {
  const usage = openUsage(server.home)!;
  const all = usage.rows({}, { limit: 10_000 })!.rows.map(({ outcome }) => outcome);
  usage.close();
  return all;
};

let undisturbed: Record<string, Seen>;

test("undisturbed, each sort of call is answered", async () => {
  undisturbed = Object.fromEntries(
    await Promise.all(Object.entries(CALLS).map(async ([name, call]) => [name, await send(call)])),
  );
  const bad = Object.entries(undisturbed).filter(([, { status, cut }]) => status !== 200 || cut);
  expect(bad).toEqual([]);
});

const some = () =>
  Object.entries(CALLS).flatMap(([name, call]) => Array.from({ length: EACH }, () => ({ name, call })));

test("killed before anything has begun, it is noticed by nobody", async () => {
  await Promise.all(engines.map((engine) => engine.simulate({ ttftMs: 2_000, itlMs: 1 })));
  const before = rows().length;
  const all = some().map(async ({ name, call }) => ({ name, ...(await send(call)) }));
  const held = await eventually(async () => {
    const slots = (await used()).map((engine) => engine.used);
    return slots.reduce((sum, each) => sum + each, 0) === all.length ? slots : null;
  }, "all calls have an engine");
  expect(Math.min(...held)).toBeGreaterThan(5);
  await engines[1]!.kill();
  for (const { name, ...seen } of await Promise.all(all))
    expect({ name, ...seen }).toEqual({ name, ...undisturbed[name]! });
  expect(rows().slice(0, -before || undefined)).toEqual(all.map(() => "complete"));
  expect((await used()).map((engine) => engine.used)).toEqual([0, 0, 0]);
});

test("killed under answers that come in pieces, it takes its own with it, and they say so", async () => {
  engines[1] = await startSimulator({ models, port: engines[1]!.port });
  await allWarm(server.port);
  await Promise.all(engines.map((engine) => engine.simulate({ ttftMs: 100, itlMs: 400 })));
  const before = rows().length;
  let streams = 0;
  const begun = Promise.withResolvers<void>();
  const expected = some().filter(({ call }) => !call.whole).length;
  const all = some().map(async ({ name, call }) => {
    let first = true;
    const onBegun = () => {
      if (first && !call.whole && ++streams === expected) begun.resolve();
      first = false;
    };
    return { name, whole: call.whole, ...(await send(call, onBegun)) };
  });
  await begun.promise;
  const lost = (await used())[1]!.used;
  expect(lost).toBeGreaterThan(3);
  await engines[1]!.kill();
  const broken: string[] = [];
  for (const { name, whole, ...seen } of await Promise.all(all)) {
    if (Bun.deepEquals(seen, undisturbed[name])) continue;
    expect([name, whole, seen.status]).toEqual([name, false, 200]);
    if (name === "speech as bytes") expect(seen.cut).toBe(true);
    else expect(seen.text).toContain('"code":"engine_interrupted"');
    const sent = seen.text.replace(/(event: error\n)?data: \{("type":"error",)?"error".*\n\n$/s, "");
    expect(undisturbed[name]!.text.startsWith(sent)).toBe(true);
    broken.push(name);
  }
  expect(broken.length).toBeGreaterThan(0);
  expect(broken.length).toBeLessThanOrEqual(lost);
  const ended = rows().slice(0, -before || undefined);
  expect(ended.filter((outcome) => outcome === "interrupted")).toHaveLength(broken.length);
  expect(ended.filter((outcome) => outcome === "complete")).toHaveLength(all.length - broken.length);
  expect((await used()).map((engine) => engine.used)).toEqual([0, 0, 0]);
});
