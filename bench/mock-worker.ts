// A fixed upstream for the benchmarks: a worker that answers every call with the same bytes, so that what is measured is
// the way there and back. The body's `user` field says how: {"chunks": 100, "gapMs": 5} streams, {"idle": true} starts a
// stream and then says nothing.

import { unlinkSync } from "node:fs";
import { SSE_DONE, SSE_HEADERS, usageOf, type WorkerConfig } from "@oxbow/contract";

const config = JSON.parse(process.argv[2] ?? "{}") as WorkerConfig;
const id = "chatcmpl-benchbenchbenchbenchbenchbe";
const head = { id, created: 1_700_000_000, model: config.models[0]?.id ?? "bench", system_fingerprint: "fp_bench" };
const whole = JSON.stringify({
  ...head,
  object: "chat.completion",
  service_tier: "default",
  choices: [
    {
      index: 0,
      message: { role: "assistant", content: "All work and no play. ".repeat(20), refusal: null, annotations: [] },
      finish_reason: "stop",
      logprobs: null,
    },
  ],
  usage: usageOf({ prompt: 10, completion: 100 }),
});
const chunk = (delta: object, finish: string | null) =>
  `data: ${JSON.stringify({ ...head, object: "chat.completion.chunk", choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
const TOKEN = chunk({ content: " token" }, null);
const encoder = new TextEncoder();

function stream({ chunks = 0, gapMs = 0, idle = false }): Response {
  let timer: ReturnType<typeof setInterval> | undefined;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encoder.encode(chunk({ role: "assistant", content: "", refusal: null }, null)));
      if (idle) return;
      let sent = 0;
      timer = setInterval(() => {
        controller.enqueue(encoder.encode(TOKEN));
        if (++sent < chunks) return;
        clearInterval(timer);
        controller.enqueue(encoder.encode(chunk({}, "stop") + SSE_DONE));
        controller.close();
      }, gapMs);
    },
    cancel: () => clearInterval(timer),
  });
  return new Response(body, { headers: SSE_HEADERS });
}

try {
  unlinkSync(config.socket);
} catch {
  // not there, which is as good
}
Bun.serve({
  unix: config.socket,
  maxRequestBodySize: 1 << 30,
  async fetch(request, server) {
    server.timeout(request, 0); // a silent stream is what some of the calls ask for
    const path = new URL(request.url).pathname;
    if (path === "/health") return Response.json({ state: "warm", progress: 1 });
    if (request.method !== "POST") return new Response(null, { status: 404 });
    const bytes = await request.bytes();
    // The load generator puts the plan at the end of the body, so that a long prompt costs this mock nothing to read.
    const tail = new TextDecoder().decode(bytes.subarray(-120));
    const plan = /"user":"(\{.*\})"/.exec(tail)?.[1];
    if (!plan) return new Response(whole, { headers: { "content-type": "application/json" } });
    return stream(JSON.parse(plan.replaceAll('\\"', '"')));
  },
});
// The end of input means that the parent is gone.
for await (const _ of Bun.stdin.stream());
process.exit(0);
