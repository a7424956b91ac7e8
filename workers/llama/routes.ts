// What the worker answers once its model is loaded, and what it tells of its scheduler.

import { parseJsonObject } from "@oxbow/contract";
import type { Route, Sample, Served } from "@oxbow/worker";
import { chat, countChat } from "./chat-endpoint.ts";
import { complete, countCompletion } from "./completion-endpoint.ts";
import type { Host } from "./host.ts";
import type { Scheduler } from "./scheduler.ts";

const CHAT = "/v1/chat/completions";
const COMPLETIONS = "/v1/completions";

export function openRoutes(host: Host): Served {
  const answeredBy =
    (answer: typeof chat): Route =>
    async (request) =>
      answer(parseJsonObject(await request.bytes()), request, host);
  return {
    routes: { [CHAT]: answeredBy(chat), [COMPLETIONS]: answeredBy(complete) },
    counts: { [CHAT]: (body) => countChat(body, host), [COMPLETIONS]: (body) => countCompletion(body, host) },
    samples: () => samplesOf(host.scheduler),
    contextTokens: host.loaded.contextTokens,
  };
}

function samplesOf({ counters, running, waiting }: Scheduler): Sample[] {
  const gauge = (name: string, help: string, value: number): Sample => ({ type: "gauge", name, help, value });
  const counter = (name: string, help: string, value: number): Sample => ({ type: "counter", name, help, value });
  return [
    gauge("sequences_running", "Sequences being generated.", running()),
    gauge("sequences_waiting", "Sequences waiting for a slot.", waiting()),
    counter("prompt_tokens_total", "Tokens of prompts.", counters.promptTokens),
    counter("prompt_tokens_cached_total", "Tokens of prompts that were in memory already.", counters.cachedTokens),
    counter("generated_tokens_total", "Tokens generated.", counters.generatedTokens),
    counter("steps_total", "Batches decoded.", counters.steps),
  ];
}
