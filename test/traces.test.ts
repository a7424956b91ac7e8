// Traces as a collector gets them, and an engine sees them: which requests are traced, and how their parts hang together.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { dataWith, type EngineTable, simulatorAlone } from "./data.ts";
import { eventually, KEY, type RunningServer, startServer } from "./harness.ts";
import { HELLO, MODEL } from "./suite.ts";

setDefaultTimeout(60_000);

interface OtlpSpan {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  kind: number;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: { key: string; value: Record<string, unknown> }[];
  status: { code?: number; message?: string };
}
interface OtlpBody {
  resourceSpans: { resource: { attributes: { key: string; value: object }[] }; scopeSpans: { spans: OtlpSpan[] }[] }[];
}

const received: { spans: OtlpSpan[]; headers: Headers; path: string; resource: string }[] = [];
const collector = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  async fetch(request) {
    const body = (await request.json()) as OtlpBody;
    received.push({
      spans: body.resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
      headers: request.headers,
      path: new URL(request.url).pathname,
      resource: JSON.stringify(body.resourceSpans[0]!.resource),
    });
    return Response.json({});
  },
});

/** One model at an engine that says what it was sent. */
function withEcho(table: EngineTable): void {
  simulatorAlone(table);
  table.kinds.echo = { ...table.kinds.simulator, worker: "test/echo-worker.ts", simulated: false };
  table.engines.echo = { kind: "echo", models: [{ id: ECHO }], slots: 4, threads: 1 };
}
const ECHO = "llama-3.1-8b";
const data = dataWith(withEcho);
let server: RunningServer;
beforeAll(async () => {
  server = await startServer({
    simulate: true,
    env: {
      OXBOW_DATA: data.folder,
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collector.port}/`,
      OTEL_EXPORTER_OTLP_HEADERS: "x-collector-key=a%20secret",
      OTEL_TRACES_SAMPLER_ARG: "0",
      OTEL_SERVICE_NAME: "oxbow-under-test",
    },
  });
});
afterAll(async () => {
  await server.stop();
  await collector.stop(true);
  data.remove();
});

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const PARENT = "b7ad6b7169203331";
async function send(fields: object, traceparent?: string): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${server.port}/v1/chat/completions`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${KEY}`,
      "content-type": "application/json",
      ...(traceparent !== undefined && { traceparent }),
    },
    body: JSON.stringify({ model: MODEL, messages: HELLO, ...fields }),
  });
  return answer.text();
}
const spansOf = (traceId: string) => received.flatMap(({ spans }) => spans.filter((span) => span.traceId === traceId));
const value = (span: OtlpSpan, key: string) =>
  Object.values(span.attributes.find((each) => each.key === key)?.value ?? {})[0];

test("a caller's sampled trace goes on: request, queue and engine are parts of it, and the engine gets its own", async () => {
  const answer = await send({ model: ECHO }, `00-${TRACE}-${PARENT}-01`);
  const seen = JSON.parse(JSON.parse(answer).choices[0].message.content) as Record<string, string>;
  await eventually(() => spansOf(TRACE).length >= 3, "three spans have come");
  const spans = spansOf(TRACE);
  expect(spans.map(({ name }) => name).sort()).toEqual(["POST /v1/chat/completions", "engine echo", "queue"]);
  const [whole, queue, engine] = ["POST /v1/chat/completions", "queue", "engine echo"].map((name) =>
    spans.find((span) => span.name === name),
  );
  expect(whole).toMatchObject({ parentSpanId: PARENT, kind: 2 });
  expect([queue!.parentSpanId, engine!.parentSpanId]).toEqual([whole!.spanId, whole!.spanId]);
  expect(seen.traceparent).toBe(`00-${TRACE}-${engine!.spanId}-01`);
  expect(BigInt(queue!.endTimeUnixNano) <= BigInt(engine!.startTimeUnixNano)).toBe(true);
  expect(BigInt(engine!.endTimeUnixNano) <= BigInt(whole!.endTimeUnixNano)).toBe(true);
  expect(value(whole!, "gen_ai.request.model")).toBe(ECHO);
  expect(value(whole!, "http.response.status_code")).toBe(200);
  const { headers, path, resource } = received[0]!;
  expect([path, headers.get("x-collector-key")]).toEqual(["/v1/traces", "a secret"]);
  expect(resource).toContain("oxbow-under-test");
});

test("a stream's trace ends with the stream, and one that broke off says so", async () => {
  const traceId = TRACE.replace(/^0af/, "1af");
  await send({ model: "fault-midstream", stream: true }, `00-${traceId}-${PARENT}-01`);
  await eventually(() => spansOf(traceId).length >= 3, "three spans have come");
  const whole = spansOf(traceId).find(({ kind }) => kind === 2)!;
  expect(whole.status.code).toBe(2);
  expect(value(whole, "oxbow.outcome")).toBe("interrupted");
});

test("a caller who does not want it, and who sends nonsense or nothing, is not traced at a ratio of 0", async () => {
  const traceId = TRACE.replace(/^0af/, "2af");
  const before = received.length;
  await send({}, `00-${traceId}-${PARENT}-00`);
  for (const text of ["x", `00-${"0".repeat(32)}-${PARENT}-01`, `ff-${TRACE}-${PARENT}-01`]) await send({}, text);
  const plain = await send({ model: ECHO });
  expect(plain).not.toContain("traceparent");
  // What is traced after them has come, and nothing else.
  const last = TRACE.replace(/^0af/, "3af");
  await send({}, `00-${last}-${PARENT}-01`);
  await eventually(() => spansOf(last).length >= 3, "the last one has come");
  const since = received.slice(before).flatMap(({ spans }) => spans);
  expect(new Set(since.map((span) => span.traceId))).toEqual(new Set([last]));
});

test("at a ratio of 1 every request is traced, and a collector that is gone disturbs nobody", async () => {
  const gone = Bun.serve({ hostname: "127.0.0.1", port: 0, fetch: () => new Response() });
  const { port } = gone;
  await gone.stop(true);
  const other = await startServer({
    simulate: true,
    env: {
      OXBOW_DATA: data.folder,
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      OTEL_TRACES_SAMPLER_ARG: "1",
    },
  });
  try {
    const answer = await fetch(`http://127.0.0.1:${other.port}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
      body: JSON.stringify({ model: ECHO, messages: HELLO }),
    });
    expect(answer.status).toBe(200);
    expect(await answer.text()).toContain("traceparent");
    await eventually(() => other.logs().includes("traces are not taken"), "the operator is told", 30_000);
  } finally {
    await other.stop();
  }
});
