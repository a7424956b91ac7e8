import { expect, test } from "bun:test";
import { createMetrics } from "./metrics.ts";

test("metrics wear the names of the engine that is imitated", () => {
  const render = (dress: "plain" | "vllm" | "sglang") => {
    const metrics = createMetrics({ dress, modelName: 'a"b', kvTokens: 100 });
    metrics.prompt(64, 32);
    metrics.hold(25);
    metrics.firstToken(20);
    metrics.finished("stop", 7);
    return metrics.render(2, 3);
  };
  const label = 'model_name="a_b"';
  expect(render("vllm").split("\n")).toEqual(
    expect.arrayContaining([
      `vllm:num_requests_running{${label}} 2`,
      `vllm:num_requests_waiting{${label}} 3`,
      `vllm:kv_cache_usage_perc{${label}} 0.25`,
      `vllm:prefix_cache_hits_total{${label}} 32`,
      `vllm:prefix_cache_queries_total{${label}} 64`,
      `vllm:request_success_total{${label},finished_reason="stop"} 1`,
      `vllm:time_to_first_token_seconds_bucket{${label},le="0.05"} 1`,
    ]),
  );
  expect(render("sglang").split("\n")).toEqual(
    expect.arrayContaining([
      `sglang:num_running_reqs{${label}} 2`,
      `sglang:num_queue_reqs{${label}} 3`,
      `sglang:token_usage{${label}} 0.25`,
      `sglang:cached_tokens_total{${label}} 32`,
    ]),
  );
  for (const dress of ["plain", "vllm", "sglang"] as const) {
    for (const line of render(dress).trim().split("\n"))
      expect(line).toMatch(/^# TYPE \S+ \w+$|^[a-z_:]+\{[^}]+\} [\d.e+-]+$/);
  }
});
