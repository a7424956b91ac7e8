// A worker that answers with the header fields it was sent, as JSON: for tests of what reaches an engine.

import { usageOf, type WorkerConfig } from "@oxbow/contract";

const config = JSON.parse(process.argv[2]!) as WorkerConfig;
Bun.serve({
  unix: config.socket,
  async fetch(request) {
    if (new URL(request.url).pathname === "/health") return Response.json({ state: "warm", progress: 1 });
    await request.bytes();
    return Response.json({
      id: "chatcmpl-echo",
      object: "chat.completion",
      created: 1_700_000_000,
      model: config.models[0]!.id,
      system_fingerprint: "fp_echo",
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: JSON.stringify(Object.fromEntries(request.headers)), refusal: null },
          logprobs: null,
          finish_reason: "stop",
        },
      ],
      usage: usageOf({ prompt: 1, completion: 1 }),
    });
  },
});
process.stdin.on("end", () => process.exit(0)).resume();
