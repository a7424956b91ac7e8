// What passes between Oxbow and a server of somebody else, seen from that server: what reaches it of a caller's header
// fields, that a caller who hangs up is heard there at once, and what the ledger knows of an answer.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { sseEvent } from "@oxbow/contract";
import { openUsage } from "../../server/ledger/ledger.ts";
import { eventually, KEY, type RunningServer, startServer } from "../harness.ts";
import { type ScrapedFamily, scrape } from "../scrape.ts";
import { dataFor, THEIR_NAME } from "./remote.ts";

interface Seen {
  headers: Headers;
  body: Record<string, unknown>;
  /** Resolves when the caller is gone, with the time. */
  gone: Promise<number>;
}

const seen: Seen[] = [];
/** How the next call is answered. */
let answer: (call: Seen) => Response | Promise<Response>;

const engine = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  idleTimeout: 0,
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/v1/models") return Response.json({ object: "list", data: [{ id: THEIR_NAME }] });
    if (request.method === "GET") return new Response("", { status: pathname === "/health" ? 200 : 404 });
    const gone = Promise.withResolvers<number>();
    request.signal.addEventListener("abort", () => gone.resolve(performance.now()));
    const call = { headers: request.headers, body: (await request.json()) as Seen["body"], gone: gone.promise };
    seen.push(call);
    return answer(call);
  },
});

const HEAD = { id: "chatcmpl-1", object: "chat.completion", created: 1_700_000_000, model: THEIR_NAME };
const WHOLE = {
  ...HEAD,
  choices: [{ index: 0, message: { role: "assistant", content: "Hi", refusal: null }, finish_reason: "stop" }],
  usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 },
};
const chunk = (delta: object, finish: string | null = null) =>
  sseEvent({ ...HEAD, object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason: finish }] });
const whole = () => Response.json(WHOLE);
const SSE = { "content-type": "text/event-stream" };

let server: RunningServer;
let remove: () => void;
beforeAll(async () => {
  answer = whole;
  const data = dataFor("vllm", `${engine.url.origin}/v1`, THEIR_NAME);
  remove = data.remove;
  server = await startServer({ env: { OXBOW_DATA: data.folder } });
}, 90_000);
afterAll(async () => {
  await server?.stop();
  await engine.stop(true);
  remove?.();
}, 30_000);

const MESSAGES = [{ role: "user", content: "Hello" }];
function post(body: object, more: { headers?: Record<string, string>; signal?: AbortSignal } = {}): Promise<Response> {
  return fetch(`${server.baseUrl}/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json", ...more.headers },
    body: JSON.stringify({ model: "tiny", messages: MESSAGES, ...body }),
    ...(more.signal ? { signal: more.signal } : {}),
  });
}

test("no header field of a caller reaches an engine, and no private field of the body", async () => {
  answer = whole;
  const headers = {
    "x-llm-d-inference-objective": "gw-dedicated",
    "x-llm-d-slo-ttft-ms": "1",
    "x-gateway-inference-objective": "first",
    "x-dynamo-request-priority": "100",
    "x-simulate": '{"tokens":1}',
    "x-request-id": "mine",
    cookie: "a=b",
    "routing-strategy": "random",
  };
  const private_ = { priority: -1, nvext: {}, cache_salt: "x", kv_transfer_params: {}, prompt_embeds: "x" };
  expect((await post(private_, { headers })).status).toBe(200);
  const { headers: reached, body } = seen.at(-1)!;
  for (const name of Object.keys(headers)) expect([name, reached.get(name)]).toEqual([name, null]);
  expect(reached.get("authorization")).toBeNull();
  // Ours, for the account, in place of the caller's.
  expect(body).toEqual({
    model: THEIR_NAME,
    messages: MESSAGES,
    cache_salt: expect.stringMatching(/^[0-9a-f]{32}$/),
    priority: expect.any(Number),
  });
  // Which ones they were is counted, by the names of our tables and no others.
  expect((await post({ priority: 1, my_secret_field: "x" })).status).toBe(200);
  const dropped = (found: ScrapedFamily[]) =>
    Object.fromEntries(
      found.flatMap(({ samples }) =>
        samples.flatMap(({ name, labels, value }) =>
          name === "oxbow_fields_dropped_total" ? [[labels.field, value]] : [],
        ),
      ),
    );
  const counts = { priority: 2, nvext: 1, cache_salt: 1, kv_transfer_params: 1, prompt_embeds: 1 };
  await eventually(async () => Bun.deepEquals(dropped(await scrape(server.port)), counts), "the fields are counted");
});

test("an engine hears within a second that its caller has hung up: before an answer, of a whole one, in a stream", async () => {
  const silent = () => new Promise<Response>(() => {});
  const endless = () => {
    const body = new ReadableStream({
      start: (controller) => controller.enqueue(new TextEncoder().encode(chunk({ role: "assistant", content: "a" }))),
      pull: () => new Promise(() => {}),
    });
    return new Response(body, { headers: SSE });
  };
  const ways: [string, typeof answer, boolean][] = [
    ["before the headers of a stream", silent, true],
    ["before a whole answer", silent, false],
    ["in a stream", endless, true],
  ];
  for (const [way, answers, stream] of ways) {
    answer = answers;
    const before = seen.length;
    const caller = new AbortController();
    const call = post({ stream }, { signal: caller.signal }).then(async (response) =>
      response.body!.getReader().read(),
    );
    call.catch(() => {});
    await eventually(() => seen.length > before, "the call reaches the engine");
    if (answers === endless) await call;
    const hungUpAt = performance.now();
    caller.abort();
    const heardMs = (await seen.at(-1)!.gone) - hungUpAt;
    expect([way, heardMs < 1_000]).toEqual([way, true]);
  }
});

test("the ledger knows what an answer cost, told by the engine or estimated", async () => {
  const said = sseEvent({ ...HEAD, object: "chat.completion.chunk", choices: [], usage: WHOLE.usage });
  const good = chunk({ role: "assistant", content: "abcdefgh" }) + chunk({}, "stop");
  const tokens = async (text: string) => {
    answer = () => new Response(`${text}data: [DONE]\n\n`, { headers: SSE });
    const response = await post({ stream: true });
    expect(await response.text()).not.toContain("usage");
    // It is on the disk before the last byte is out.
    const usage = openUsage(server.home)!;
    const { tokensIn, tokensOut, outcome } = usage.rows({}, { limit: 1 })!.rows[0]!;
    usage.close();
    return { tokensIn, tokensOut, outcome };
  };
  expect(await tokens(good + said)).toEqual({ tokensIn: 5, tokensOut: 2, outcome: "complete" });
  expect(await tokens(good)).toEqual({ tokensIn: 9, tokensOut: 2, outcome: "complete" });
});
