// What the worker tells a monitoring system, as Prometheus text. No label has a value that a client chooses.

import type { Scheduler } from "./scheduler.ts";

export type Endpoint = "chat" | "completions" | "count";
/** By status, or `aborted` when the caller went away first. A stream counts when it begins. */
export type RequestOutcome = "ok" | "refused" | "failed" | "aborted";

export function createMetrics() {
  const requests = new Map<string, number>();
  return {
    count(endpoint: Endpoint, outcome: RequestOutcome): void {
      const key = `endpoint="${endpoint}",outcome="${outcome}"`;
      requests.set(key, (requests.get(key) ?? 0) + 1);
    },
    /** @param scheduler null while the model is being loaded */
    render(scheduler: Scheduler | null): string {
      const counters = scheduler?.counters;
      const lines = [
        ...family("gauge", "requests_running", "Sequences being generated.", [["", scheduler?.running() ?? 0]]),
        ...family("gauge", "requests_waiting", "Sequences waiting for a slot.", [["", scheduler?.waiting() ?? 0]]),
        ...family("counter", "prompt_tokens_total", "Tokens of prompts.", [["", counters?.promptTokens ?? 0]]),
        ...family("counter", "prompt_tokens_cached_total", "Tokens of prompts that were in memory already.", [
          ["", counters?.cachedTokens ?? 0],
        ]),
        ...family("counter", "generated_tokens_total", "Tokens generated.", [["", counters?.generatedTokens ?? 0]]),
        ...family("counter", "steps_total", "Batches decoded.", [["", counters?.steps ?? 0]]),
        ...family("counter", "requests_total", "Requests by how they began to be answered.", [...requests]),
      ];
      return `${lines.join("\n")}\n`;
    },
  };
}

function family(type: string, name: string, help: string, samples: [labels: string, value: number][]): string[] {
  const full = `oxbow_llama_${name}`;
  return [
    `# HELP ${full} ${help}`,
    `# TYPE ${full} ${type}`,
    ...samples.map(([labels, value]) => `${full}${labels === "" ? "" : `{${labels}}`} ${value}`),
  ];
}
