import { afterAll, expect, test } from "bun:test";
import { ERRORS, OUTCOMES } from "@oxbow/contract";
import fc from "fast-check";
import { RECORD } from "./fixtures.ts";
import { createMetrics, type Sources } from "./metrics.ts";
import { createSpread } from "./tally.ts";

const SOURCES: Sources = {
  version: "1.2.3",
  queues: () => [],
  engines: () => [],
  models: () => [],
  refusals: () => ({}),
  ledger: () => ({ healthy: true, waiting: 0, open: 0, openMs: null }),
  streams: () => 0,
  bodyBytes: () => 0,
  mirrors: () => [],
};

const made: { stop: () => void }[] = [];
afterAll(() => {
  for (const each of made) each.stop();
});
function create(sources: Partial<Sources> = {}) {
  const metrics = createMetrics({ ...SOURCES, ...sources });
  made.push(metrics);
  return metrics;
}
const linesOf = (text: string) => text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));

test("a value is counted at its own bound and at all above it", () => {
  const spread = createSpread([0.1, 1]);
  for (const value of [0.05, 0.1, 0.5, 7]) spread.add(value);
  expect(spread.samples("x", {}).map(({ name, labels, value }) => [name, labels.le, value])).toEqual([
    ["x_bucket", "0.1", 2],
    ["x_bucket", "1", 3],
    ["x_bucket", "+Inf", 4],
    ["x_sum", undefined, 7.65],
    ["x_count", undefined, 4],
  ]);
});

test("a request is counted with its model, plan and end, and its times go by OpenTelemetry's names", async () => {
  const metrics = create();
  metrics.observe(RECORD);
  metrics.observe({ ...RECORD, status: 429, code: "queue_full", outcome: "", priority: "", units: 0, waitedMs: null });
  const lines = linesOf(await metrics.render());
  expect(lines).toContain(
    'oxbow_requests_total{endpoint="/v1/chat/completions",model="m",plan="pro@2026",status="200",code="",outcome="complete"} 1',
  );
  expect(lines).toContain('oxbow_units_total{model="m",plan="pro@2026"} 1');
  const labels =
    'gen_ai_operation_name="chat",gen_ai_request_model="m",gen_ai_response_model="m",error_type="",class="high"';
  expect(lines).toContain(`gen_ai_server_request_duration_seconds_sum{${labels}} 0.13`);
  expect(lines).toContain(`gen_ai_server_time_to_first_token_seconds_sum{${labels}} 0.03`);
  // 100 ms for the ten tokens after the first.
  expect(lines).toContain(`gen_ai_server_time_per_output_token_seconds_sum{${labels}} 0.01`);
  expect(lines).toContain('oxbow_queue_wait_seconds_count{model="m",class="high"} 1');
});

test("requests that differ only in what no label says share a line", async () => {
  const metrics = create();
  for (const priority of ["high", "highest"]) metrics.observe({ ...RECORD, priority });
  const lines = linesOf(await metrics.render());
  expect(new Set(lines.map((line) => line.replace(/ [^ ]+$/, ""))).size).toBe(lines.length);
  expect(lines.find((line) => line.startsWith("oxbow_requests_total"))).toEndWith(" 2");
});

test("what the other rooms say is asked at every scrape", async () => {
  let depth = 3;
  const classes = () => [{ priority: "high", depth, admitted: 5, shed: 1, expired: 0, cancelled: 2 }];
  const metrics = create({ queues: () => [{ model: "m", classes: classes() }] });
  expect(await metrics.render()).toContain('oxbow_queue_depth{model="m",class="high"} 3');
  depth = 4;
  const text = await metrics.render();
  expect(text).toContain('oxbow_queue_depth{model="m",class="high"} 4');
  expect(text).toContain('oxbow_queue_left_total{model="m",class="high",how="shed"} 1');
});

const anyRecord = fc.record({
  endpoint: fc.constantFrom("/v1/chat/completions", "/v1/models/*", "other"),
  model: fc.nat(300).map((n) => `model-${n}`),
  servedModel: fc.constantFrom("", "model-1", "model-2"),
  plan: fc.nat(40).map((n) => `plan${n}@2026`),
  priority: fc.constantFrom("", "high", "best_effort"),
  status: fc.integer({ min: 200, max: 599 }),
  code: fc.constantFrom("", ...Object.keys(ERRORS)),
  outcome: fc.constantFrom("" as const, "replayed" as const, ...(Object.keys(OUTCOMES) as (keyof typeof OUTCOMES)[])),
  durationMs: fc.double({ min: 0, max: 1e6, noNaN: true }),
  firstTokenMs: fc.option(fc.double({ min: 0, max: 1e6, noNaN: true })),
  tokensOut: fc.nat(10_000),
});

test("no traffic makes a scrape longer than its bound, loses a request, or names an account", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyRecord, { minLength: 5_000, maxLength: 12_000 }), async (records) => {
      const metrics = create();
      for (const each of records) metrics.observe({ ...RECORD, ...each });
      const text = await metrics.render();
      const counts = linesOf(text).filter((line) => line.startsWith("oxbow_requests_total{"));
      // The bound of the table, and what is shared beyond it: one row for each status, error or not, model or not.
      expect(counts.length).toBeLessThanOrEqual(4_000 + 400 * 4);
      expect(counts.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0)).toBe(records.length);
      expect(text).not.toContain("canary");
    }),
    { numRuns: 4 },
  );
}, 60_000);
