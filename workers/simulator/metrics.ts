// What happened, as Prometheus text, under the names of the engine whose dress the simulator wears.

export interface Metrics {
  /** A prompt was looked up in the prefix cache. Counts in tokens. */
  prompt(tokens: number, cached: number): void;
  /** Calls hold their tokens while they run. @param tokens of prompt and answer; negative to give them back */
  hold(tokens: number): void;
  firstToken(ms: number): void;
  /** A call ended. @param tokens of the answer that were made; 0 when it failed */
  finished(reason: string, tokens: number): void;
  render(running: number, waiting: number): string;
}

export interface MetricsOptions {
  dress: "plain" | "vllm" | "sglang";
  /** Value of the label `model_name`. */
  modelName: string;
  kvTokens: number;
}

export function createMetrics({ dress, modelName, kvTokens }: MetricsOptions): Metrics {
  const names = NAMES[dress];
  const label = `model_name="${modelName.replace(/[\\"\n]/g, "_")}"`;
  const finishes = new Map<string, number>();
  const buckets = FIRST_TOKEN_SECONDS.map(() => 0);
  const sum = { prompt: 0, cached: 0, generated: 0, held: 0, firstSeconds: 0, firstCount: 0 };

  function render(running: number, waiting: number): string {
    const lines: string[] = [];
    const put = (name: string, type: string, value: number, extra = "") =>
      lines.push(`# TYPE ${name} ${type}`, `${name}{${label}${extra}} ${value}`);
    put(names.running, "gauge", running);
    put(names.waiting, "gauge", waiting);
    put(names.usage, "gauge", Math.min(1, sum.held / kvTokens));
    put(names.cacheHits, "counter", sum.cached);
    // SGLang has no such counter: there, all prompt tokens are looked up.
    if (names.cacheQueries !== null) put(names.cacheQueries, "counter", sum.prompt);
    put(names.promptTokens, "counter", sum.prompt);
    put(names.generationTokens, "counter", sum.generated);
    lines.push(`# TYPE ${names.finished} counter`);
    for (const [reason, count] of finishes) {
      lines.push(`${names.finished}{${label},finished_reason="${reason}"} ${count}`);
    }
    lines.push(`# TYPE ${names.firstToken} histogram`);
    for (const [at, bound] of FIRST_TOKEN_SECONDS.entries()) {
      lines.push(`${names.firstToken}_bucket{${label},le="${bound}"} ${buckets[at]}`);
    }
    lines.push(`${names.firstToken}_bucket{${label},le="+Inf"} ${sum.firstCount}`);
    lines.push(`${names.firstToken}_sum{${label}} ${sum.firstSeconds}`);
    lines.push(`${names.firstToken}_count{${label}} ${sum.firstCount}`);
    return `${lines.join("\n")}\n`;
  }

  return {
    prompt(tokens, cached) {
      sum.prompt += tokens;
      sum.cached += cached;
    },
    hold(tokens) {
      sum.held += tokens;
    },
    firstToken(ms) {
      sum.firstSeconds += ms / 1000;
      sum.firstCount++;
      for (const [at, bound] of FIRST_TOKEN_SECONDS.entries()) if (ms <= bound * 1000) buckets[at]!++;
    },
    finished(reason, tokens) {
      finishes.set(reason, (finishes.get(reason) ?? 0) + 1);
      sum.generated += tokens;
    },
    render,
  };
}

const FIRST_TOKEN_SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60];

/** Sources: vLLM, `vllm/v1/metrics/loggers.py`; SGLang, `python/sglang/srt/metrics/collector.py`; read 2026-11-21. */
const NAMES = {
  plain: {
    running: "simulator_requests_running",
    waiting: "simulator_requests_waiting",
    usage: "simulator_kv_usage_ratio",
    cacheHits: "simulator_prefix_cache_hit_tokens_total",
    cacheQueries: "simulator_prefix_cache_query_tokens_total",
    promptTokens: "simulator_prompt_tokens_total",
    generationTokens: "simulator_generation_tokens_total",
    finished: "simulator_requests_finished_total",
    firstToken: "simulator_time_to_first_token_seconds",
  },
  vllm: {
    running: "vllm:num_requests_running",
    waiting: "vllm:num_requests_waiting",
    usage: "vllm:kv_cache_usage_perc",
    cacheHits: "vllm:prefix_cache_hits_total",
    cacheQueries: "vllm:prefix_cache_queries_total",
    promptTokens: "vllm:prompt_tokens_total",
    generationTokens: "vllm:generation_tokens_total",
    finished: "vllm:request_success_total",
    firstToken: "vllm:time_to_first_token_seconds",
  },
  sglang: {
    running: "sglang:num_running_reqs",
    waiting: "sglang:num_queue_reqs",
    usage: "sglang:token_usage",
    cacheHits: "sglang:cached_tokens_total",
    cacheQueries: null,
    promptTokens: "sglang:prompt_tokens_total",
    generationTokens: "sglang:generation_tokens_total",
    finished: "sglang:num_requests_total",
    firstToken: "sglang:time_to_first_token_seconds",
  },
} as const;
