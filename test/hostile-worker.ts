// A worker that does the worst: by its option `mode` it says nothing more, dies, or never stops talking. It proves itself like
// any other, with its first calls.

import { SSE_HEADERS, sseEvent, usageOf, type WorkerConfig } from "@oxbow/contract";

const config = JSON.parse(process.argv[2]!) as WorkerConfig;
const { mode } = config.options as { mode: "stall" | "crash" | "flood" | "garbage" };
const head = { id: "chatcmpl-hostile", created: 1_700_000_000, model: config.models[0]!.id, system_fingerprint: "fp" };

Bun.serve({
  unix: config.socket,
  async fetch(request, server) {
    server.timeout(request, 0);
    if (new URL(request.url).pathname === "/health") return Response.json({ state: "warm", progress: 1 });
    const { max_completion_tokens } = (await request.json()) as { max_completion_tokens?: number };
    // What the fleet asks of a worker that has loaded is one token.
    if (max_completion_tokens === 1) return Response.json(answer());
    if (mode === "crash") process.exit(1);
    if (mode === "stall") return new Promise<Response>(() => {});
    if (mode === "garbage") return new Response("\u0000\u0001 not an answer", { headers: SSE_HEADERS });
    const chunk = sseEvent({
      ...head,
      object: "chat.completion.chunk",
      choices: [{ index: 0, delta: { content: "x".repeat(65_536) }, finish_reason: null }],
    });
    return new Response(
      new ReadableStream({ pull: (controller) => controller.enqueue(new TextEncoder().encode(chunk)) }),
      { headers: SSE_HEADERS },
    );
  },
});
process.stdin.on("end", () => process.exit(0)).resume();

function answer(): object {
  const message = { role: "assistant", content: "x", refusal: null };
  return {
    ...head,
    object: "chat.completion",
    choices: [{ index: 0, message, logprobs: null, finish_reason: "length" }],
    usage: usageOf({ prompt: 1, completion: 1 }),
  };
}
