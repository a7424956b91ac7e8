// Where every error can be provoked: a server that is well, one with tight limits and bad engines, and the calls that they
// are asked.

import { expect } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { adminPlan, dataWith } from "./data.ts";
import { eventually, KEY, type RunningServer, startServer } from "./harness.ts";
import { type Message, request } from "./http.ts";
import { type FileServer, openFiles } from "./images.ts";
import { formOf } from "./recordings.ts";
import { HELLO, MODEL } from "./suite.ts";

export const HEARS = "whisper-medium";
export const SPEAKS = "kokoro-82m";
export const LOADING = "mistral-7b";
export const BROKEN = "llama-3.2-3b";
export const PRO = "qwen-14b";
export const SEES = "gemma-3-4b";
export const IMAGE = "messages[0].content[0].image_url.url";
export const SLOW = { x_simulate: { ttftMs: 60_000 } };

export let server: RunningServer;
/** One slot, one place in line, short patience, an engine that never loads and one that cannot. */
export let tight: RunningServer;
export let files: FileServer;
const cleanUp: (() => unknown)[] = [];

export async function openServers(): Promise<void> {
  files = openFiles({});
  cleanUp.push(files.stop);
  const folder = mkdtempSync(join(tmpdir(), "oxbow-broken-"));
  const file = join(folder, "broken.gguf");
  writeFileSync(file, "this is no model");
  const data = dataWith(
    ({ kinds, engines }) => {
      kinds.loading = { ...kinds.simulator, worker: "test/loading-worker.ts", simulated: false };
      engines.loading = { kind: "loading", models: [{ id: LOADING }], slots: 1, pinned: false };
      engines.broken = { kind: "llama", models: [{ id: BROKEN, file }], slots: 1, pinned: false };
      engines.simulator!.slots = 1;
    },
    adminPlan({ tiers: ["free", "premium"], outputTokensMax: 200_000, audioSecondsMax: 2 }),
  );
  cleanUp.push(data.remove, () => rmSync(folder, { recursive: true }));
  const env = {
    OXBOW_DATA: data.folder,
    OXBOW_BODY_BYTES_MAX: "100000",
    OXBOW_BODY_IDLE_MS_MAX: "300",
    OXBOW_BODIES_BYTES_MAX: "150000",
    OXBOW_ACCOUNT_BODIES_BYTES_MAX: "200000",
    OXBOW_IMAGE_BYTES_MAX: "1024",
    OXBOW_QUEUE_DEPTH_MAX: "1",
    OXBOW_QUEUE_WAIT_MS_MAX: "400",
    OXBOW_FIRST_TOKEN_MS_MAX: "400",
    OXBOW_ANSWER_MS_MAX: "400",
    OXBOW_CHUNK_GAP_MS_MAX: "400",
  };
  [server, tight] = await Promise.all([
    startServer({ simulate: true, env: { OXBOW_SETTLE_MS_MAX: "500", OXBOW_FETCH_ALLOW: files.origin } }),
    startServer({ simulate: true, env }),
  ]);
  cleanUp.push(server.stop, tight.stop);
}

/** Takes away what they needed, too. */
export async function closeServers(): Promise<void> {
  for (const step of cleanUp.toReversed()) await step();
}

export const AUTH = { authorization: `Bearer ${KEY}` };
export const HEAD = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: ${AUTH.authorization}\r\n`;

export function ask(body: unknown, at: RunningServer = server, headers: Record<string, string> = AUTH) {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return request(at.tap.port, "POST", "/v1/chat/completions", { headers, body: text });
}

export const hear = (fields: Record<string, string>, file?: Uint8Array, at: RunningServer = server) => {
  const { body, headers } = formOf({ model: HEARS, ...fields }, file);
  return request(at.tap.port, "POST", "/v1/audio/transcriptions", { headers: { ...AUTH, ...headers }, body });
};

export const respond = (fields: object) =>
  request(server.tap.port, "POST", "/v1/responses", {
    headers: AUTH,
    body: JSON.stringify({ model: MODEL, ...fields }),
  });
export const chat = (fields: object, at?: RunningServer, headers?: Record<string, string>) =>
  ask({ model: MODEL, messages: HELLO, ...fields }, at, headers);
export const tool = (name: string, parameters: object = {}) => ({ type: "function", function: { name, parameters } });
/** A chat about one image, with a model that sees. */
export const see = (url: string, at?: RunningServer) =>
  chat({ model: SEES, messages: [{ role: "user", content: [imagePart(url)] }] }, at);
export const imagePart = (url: string) => ({ type: "image_url", image_url: { url } });
export const dataUrl = (bytes: Uint8Array) => `data:image/png;base64,${Buffer.from(bytes).toString("base64")}`;
export const schema = (schema: object) => ({ type: "json_schema", json_schema: { name: "s", strict: true, schema } });

/** Takes the one slot of the tight server, and hangs up when `during` is done. */
export async function whileBusy<T>(during: () => Promise<T>): Promise<T> {
  const hangUp = new AbortController();
  const fields = { model: MODEL, messages: HELLO, stream: true, x_simulate: { tokens: 2_000, itlMs: 20 } };
  const held = await fetch(`${tight.baseUrl}/chat/completions`, {
    method: "POST",
    headers: { ...AUTH, "content-type": "application/json" },
    body: JSON.stringify(fields),
    signal: hangUp.signal,
  });
  const reader = held.body!.getReader();
  await reader.read();
  try {
    return await during();
  } finally {
    await reader.cancel();
    hangUp.abort();
  }
}

/** A caller who waits in line when the server is told to stop. */
export async function refusedWhileDraining(): Promise<Message | null> {
  const data = dataWith(({ engines }) => {
    engines.simulator!.slots = 1;
  });
  const draining = await startServer({ simulate: true, env: { OXBOW_DATA: data.folder, OXBOW_DRAIN_MS_MAX: "3000" } });
  try {
    const unhurried = { stream: true, x_simulate: { tokens: 20, itlMs: 50 } };
    const running = chat(unhurried, draining);
    await eventually(async () => (await inFlight(draining)) === 1, "the first one runs");
    const inLine = chat({}, draining);
    await eventually(async () => (await inFlight(draining)) === 2, "the second one waits");
    draining.process.kill("SIGTERM");
    const refused = await inLine;
    expect((await running)!.body.toString()).toEndWith("data: [DONE]\n\n");
    draining.assertTraffic();
    return refused;
  } finally {
    await draining.stop();
    data.remove();
  }
}

/** Calls that were let in, the waiting ones too. */
async function inFlight(of: RunningServer): Promise<number> {
  const usage = await request(of.port, "GET", "/v1/usage", { headers: { authorization: `Bearer ${KEY}` } });
  return JSON.parse(usage!.body.toString()).today.in_flight;
}
