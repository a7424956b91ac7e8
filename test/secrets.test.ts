// What callers say stays between them and the engine: a mark in every place where a caller can put one, and a search for it
// in everything that the server writes down or tells to others.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { eventually, KEY, type RunningServer, startServer } from "./harness.ts";
import { request } from "./http.ts";
import { MODEL, WEATHER } from "./suite.ts";

setDefaultTimeout(60_000);
/** Nothing else says this. */
const MARK = "xyzzyplughcanary";
let server: RunningServer;
/** What an operator's collector of traces was sent. */
const traces: string[] = [];
const collector = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch: async (request) => {
    traces.push(await request.text());
    return Response.json({});
  },
});
/** Bodies of errors, and what they were for. */
const errors: { what: string; body: string }[] = [];

beforeAll(async () => {
  const traced = {
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.port}`,
    OTEL_TRACES_SAMPLER_ARG: "1",
  };
  // Every line that there is.
  server = await startServer({ simulate: true, env: { OXBOW_LOG_LEVEL: "trace", OXBOW_METRICS: "open", ...traced } });
  for (const model of [
    MODEL,
    "tiny",
    "fault-500",
    "fault-midstream",
    "fault-garbage",
    "fault-disconnect",
    "fault-502",
  ]) {
    for (const stream of [false, true]) await say(model, stream);
  }
  await refusals();
  await fetch(`http://127.0.0.1:${server.port}/v1/models?${MARK}=${MARK}`, { headers: headersWith() });
});
afterAll(async () => {
  await server.stop();
  await collector.stop(true);
});

function headersWith(): Record<string, string> {
  return {
    authorization: `Bearer ${KEY}`,
    "content-type": "application/json",
    "user-agent": `${MARK}/1.0`,
    "openai-organization": MARK,
    "openai-project": MARK,
    cookie: `session=${MARK}`,
    referer: `https://${MARK}.example/`,
    "x-request-id": MARK,
    "x-forwarded-for": MARK,
    "x-stainless-retry-count": MARK,
    traceparent: `00-${MARK}-${MARK}-01`,
    tracestate: `a=${MARK}`,
    baggage: `a=${MARK}`,
    "x-anything": MARK,
  };
}

async function send(path: string, body: unknown, headers = headersWith()): Promise<string> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const answer = await request(server.port, "POST", path, { headers, body: text, timeoutMs: 30_000 });
  return answer?.body.toString() ?? "";
}

/** In each field that a chat request has. */
async function say(model: string, stream: boolean): Promise<void> {
  const call = {
    id: `call_${MARK}`,
    type: "function",
    function: { name: "get_weather", arguments: `{"location":"${MARK}"}` },
  };
  const text = await send("/v1/chat/completions", {
    model,
    stream,
    max_tokens: 16,
    user: MARK,
    safety_identifier: MARK,
    prompt_cache_key: MARK,
    metadata: { [MARK]: MARK },
    stop: [`${MARK}${MARK}`],
    messages: [
      { role: "system", content: MARK, name: MARK },
      { role: "user", content: `Say ${MARK}.`, name: MARK },
      ...(model === MODEL ? [{ role: "assistant", content: MARK, tool_calls: [call] }] : []),
      ...(model === MODEL ? [{ role: "tool", tool_call_id: call.id, content: MARK }] : []),
    ],
    ...(model === MODEL && { tools: [WEATHER] }),
    [MARK]: MARK,
  });
  if (text.includes('"error"')) errors.push({ what: `${model}, stream ${stream}`, body: text });
  await send("/v1/completions", { model, stream, prompt: MARK, max_tokens: 4, user: MARK });
  await send("/v1/responses", {
    model,
    stream,
    input: MARK,
    instructions: MARK,
    max_output_tokens: 16,
    metadata: { a: MARK },
  });
}

async function refusals(): Promise<void> {
  const chat = "/v1/chat/completions";
  const image = { type: "image_url", image_url: { url: `https://${MARK}.example/${MARK}.png?${MARK}` } };
  const user = (content: unknown) => ({ model: MODEL, messages: [{ role: "user", content }] });
  const bodies: [string, string, unknown, Record<string, string>?][] = [
    ["an image", chat, user([image, { type: "text", text: MARK }])],
    ["a file", chat, user([{ type: "file", file: { file_data: MARK, filename: MARK } }])],
    ["sound", chat, user([{ type: "input_audio", input_audio: { data: MARK, format: "wav" } }])],
    ["not JSON", chat, `{"model":"${MODEL}","messages":"${MARK}`],
    ["a number for a text", chat, { ...user(MARK), temperature: 99 }],
    ["an object for a text", chat, user({ a: MARK })],
    ["too long", chat, { ...user(`${MARK} `.repeat(200_000)) }],
    ["a wrong key", chat, user(MARK), { ...headersWith(), authorization: `Bearer ox_live_${MARK}_${MARK}` }],
    ["no scheme", chat, user(MARK), { ...headersWith(), authorization: `${MARK}` }],
    ["another content", chat, MARK, { ...headersWith(), "content-type": "text/plain" }],
    [
      "a schema",
      chat,
      {
        ...user(MARK),
        response_format: {
          type: "json_schema",
          json_schema: { name: "a", schema: { const: MARK, type: "number" }, strict: true },
        },
      },
    ],
    [
      "tool arguments",
      chat,
      { model: MODEL, messages: [{ role: "assistant", tool_calls: [{ id: 7, function: { arguments: MARK } }] }] },
    ],
    ["a bad repeat key", chat, user(MARK), { ...headersWith(), "idempotency-key": `${MARK}\u00e9` }],
  ];
  for (const [what, path, body, headers] of bodies) errors.push({ what, body: await send(path, body, headers) });
}

/** Every file below a folder, as Latin-1, so that no byte is lost. */
function filesIn(folder: string): { file: string; text: string }[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((file) => statSync(file).isFile())
    .map((file) => ({ file, text: readFileSync(file, "latin1") }));
}

const secrets = [MARK, KEY];
const holds = (text: string) => secrets.filter((secret) => text.includes(secret));

test("no line of the log holds a word of a caller, or a key", () => {
  const logs = server.logs();
  // It did speak of them, and they were answered.
  expect(logs.match(/"outcome":"complete"/g)!.length).toBeGreaterThan(5);
  expect(logs.match(/"msg":"request"/g)!.length).toBeGreaterThan(40);
  expect(holds(logs)).toEqual([]);
});

test("no metric does", async () => {
  const text = await (await fetch(`http://127.0.0.1:${server.port}/metrics`)).text();
  expect(text).toContain("oxbow_requests_total{");
  expect(holds(text)).toEqual([]);
});

test("no trace does", async () => {
  const spans = () => traces.join("").match(/"spanId"/g)?.length ?? 0;
  await eventually(() => spans() > 100, "spans of all calls have come");
  expect(holds(traces.join(""))).toEqual([]);
});

test("no file of the home does", () => {
  const found = () =>
    filesIn(server.home).flatMap(({ file, text }) => holds(text).map((secret) => `${file}: ${secret}`));
  expect(filesIn(server.home).map(({ file }) => file.split("/").at(-1))).toContain("ledger.db");
  expect(found()).toEqual([]);
});

test("no error does, whatever was wrong", () => {
  expect(errors.length).toBeGreaterThan(15);
  for (const { what, body } of errors) {
    expect(`${what}: ${body}`).toContain('"error"');
    // An answer that broke off in the middle holds what the model had said.
    const event = body.slice(body.lastIndexOf('{"error"'));
    expect([what, ...holds(event)]).toEqual([what]);
  }
});
