// From the hub to an answer: real weights are pulled by the command, loaded by the server when a client asks for them, and
// leave again when another model needs their memory.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI from "openai";
import { oxbow } from "../cli/fixtures.ts";
import { KEY, ROOT, type RunningServer, startServer } from "./harness.ts";
import { startHub, type TestHub } from "./hub.ts";

let folder: string;
let hub: TestHub;
let server: RunningServer;
let client: OpenAI;

const env = () => ({ HF_ENDPOINT: hub.url, HF_HOME: join(folder, "hf"), OXBOW_DATA: join(folder, "data") });

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "weights-"));
  const tiny = readFileSync(join(ROOT, "models/tiny/tiny.gguf"));
  hub = await startHub({
    "org/a": { files: { "a.gguf": new Uint8Array(tiny) } },
    "org/b": { files: { "b.gguf": new Uint8Array(tiny) } },
    "org/missing": { files: { "c.gguf": new Uint8Array(tiny) } },
  });
  cpSync(join(ROOT, "data"), join(folder, "data"), { recursive: true });
  const modelOf = (id: string, hub: string, contextTokens: number) => `
${id}:
  name: ${id}
  category: chat
  tier: free
  contextTokens: ${contextTokens}
  capabilities: []
  ownedBy: test
  weights: { hub: ${hub}, format: gguf }
  source: [test]
  read: 2026-11-21
`;
  const models = [
    modelOf("a", "org/a", 1_000_000),
    modelOf("b", "org/b", 1024),
    modelOf("missing", "org/missing", 1024),
  ];
  writeFileSync(join(folder, "data/models.yaml"), models.join(""));
  const engineOf = (id: string) => `
  ${id}:
    kind: llama
    models: [{ id: ${id} }]
    slots: 1
    threads: 1
    pinned: false
    memoryBytes: 600000000
`;
  const table = readFileSync(join(folder, "data/engines.yaml"), "utf8").replace(/^engines:[\s\S]*/m, "engines:");
  writeFileSync(join(folder, "data/engines.yaml"), table + ["a", "b", "missing"].map(engineOf).join(""));
  const home = join(folder, "home");
  for (const id of ["a", "b"]) expect((await oxbow(home, ["pull", id], env())).code).toBe(0);
  server = await startServer({
    home,
    env: { ...env(), OXBOW_MEMORY_BYTES_MAX: "1000000000", OXBOW_RESIDENT_MS_MIN: "0" },
  });
  client = new OpenAI({ baseURL: server.baseUrl, apiKey: KEY, maxRetries: 0 });
}, 60_000);

afterAll(async () => {
  await server?.stop();
  await hub?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const say = async (model: string) => {
  const answer = await client.chat.completions.create({
    model,
    messages: [{ role: "user", content: "Hello" }],
    max_completion_tokens: 4,
  });
  return answer.choices[0]!.message.content;
};
const stateOf = async (id: string) => (await client.models.retrieve(id)) as unknown as Record<string, unknown>;

test("pulled weights answer when they are asked for, and make room for the next model", async () => {
  expect((await stateOf("a")).state).toBe("cold");
  expect(await say("a")).not.toBe("");
  expect((await stateOf("a")).state).toBe("warm");
  expect(await say("b")).not.toBe("");
  expect([(await stateOf("a")).state, (await stateOf("b")).state]).toEqual(["cold", "warm"]);
}, 60_000);

test("callers of both at once all get their answers", async () => {
  const answers = await Promise.all(Array.from({ length: 6 }, (_, at) => say(at % 2 === 0 ? "a" : "b")));
  expect(answers.every((text) => text !== null && text !== "")).toBe(true);
}, 60_000);

test("the context that is shown is the one that the weights take, not the one that the table wishes for", async () => {
  await say("a");
  expect((await stateOf("a")).context_window).toBe(4096);
}, 30_000);

test("a model whose weights are not here says which command brings them, and serves once it has run", async () => {
  await expect(say("missing")).rejects.toThrow("`oxbow pull missing` brings them");
  const home = server.home;
  const listed = await oxbow(home, ["models", "--catalogue", "--json"], env());
  const rows: { id: string; pulled: string | null }[] = JSON.parse(listed.out);
  expect(rows.map(({ id, pulled }) => [id, pulled !== null])).toEqual([
    ["a", true],
    ["b", true],
    ["missing", false],
  ]);
  expect((await oxbow(home, ["pull", "missing"], env())).code).toBe(0);
  // It looks every five seconds.
  const until = performance.now() + 20_000;
  while ((await stateOf("missing")).state === "failed" && performance.now() < until) await Bun.sleep(100);
  expect(await say("missing")).not.toBe("");
  server.assertTraffic();
}, 60_000);

test("who cannot wait for a cold model is told when to come back, and the model loads all the same", async () => {
  const home = join(folder, "impatient");
  expect((await oxbow(home, ["pull", "b"], env())).code).toBe(0);
  const impatient = await startServer({ home, env: { ...env(), OXBOW_QUEUE_WAIT_MS_MAX: "20" } });
  try {
    const hasty = new OpenAI({ baseURL: impatient.baseUrl, apiKey: KEY, maxRetries: 0 });
    const ask = async () =>
      hasty.chat.completions.create({
        model: "b",
        messages: [{ role: "user", content: "Hi" }],
        max_completion_tokens: 1,
      });
    await expect(ask()).rejects.toMatchObject({ status: 503, code: "model_not_ready" });
    const state = async () => ((await hasty.models.retrieve("b")) as unknown as { state: string }).state;
    const until = performance.now() + 20_000;
    while ((await state()) !== "warm" && performance.now() < until) await Bun.sleep(50);
    expect((await ask()).choices).toHaveLength(1);
    impatient.assertTraffic();
  } finally {
    await impatient.stop();
  }
}, 60_000);
