// The alert rules, run by Prometheus' own promtool: they load, each fires on what it is there for, and none on a server that
// is well. That their metrics and labels exist is for dashboards.test.ts.

import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { haveUnpacked } from "./debian.ts";
import { ROOT } from "./harness.ts";

const FILE = join(ROOT, "deploy/prometheus/alerts.yaml");
interface Rule {
  alert: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
}
const rules = (parse(readFileSync(FILE, "utf8")) as { groups: { rules: Rule[] }[] }).groups.flatMap(
  (each) => each.rules,
);

const folder = mkdtempSync(join(tmpdir(), "oxbow-alerts-"));
afterAll(() => rmSync(folder, { recursive: true }));
const promtool = haveUnpacked("prometheus", "usr/bin/promtool", folder);

function run(...args: string[]): { code: number; said: string } {
  const { exitCode, stdout, stderr } = Bun.spawnSync([promtool!, ...args]);
  return { code: exitCode, said: `${stdout}${stderr}` };
}

/** Every half minute for an hour, in promtool's shorthand: `0+3x120` grows by three each time. */
const STEPS = 120;
const always = (value: number) => `${value}+0x${STEPS}`;
const grows = (by: number) => `0+${by}x${STEPS}`;

type Series = Record<string, string>;
/** A histogram of which every value lies between the bounds. */
const histogram = (name: string, labels: string, above: number, upTo: number): Series => ({
  [`${name}_bucket{${labels},le="${above}"}`]: always(0),
  [`${name}_bucket{${labels},le="${upTo}"}`]: grows(30),
  [`${name}_bucket{${labels},le="+Inf"}`]: grows(30),
});
const requests = (outcome: string, code: string, by: number): Series => ({
  [`oxbow_requests_total{instance="a",outcome="${outcome}",code="${code}"}`]: grows(by),
});

const WELL: Series = {
  'oxbow_info{instance="a"}': always(1),
  'oxbow_ledger_healthy{instance="a"}': always(1),
  'oxbow_ledger_open_age_seconds{instance="a"}': always(30),
  'oxbow_model_state{instance="a",model="m",state="warm"}': always(1),
  'oxbow_model_state{instance="a",model="m",state="failed"}': always(0),
  'oxbow_engine_state{instance="a",engine="e",state="warm"}': always(1),
  'oxbow_engine_state{instance="a",engine="e",state="ejected"}': always(0),
  'oxbow_queue_left_total{instance="a",class="high",how="served"}': grows(30),
  'oxbow_queue_left_total{instance="a",class="high",how="shed"}': always(0),
  // Those who pay nothing may be sent away.
  'oxbow_queue_left_total{instance="a",class="best_effort",how="shed"}': grows(5),
  ...requests("complete", "none", 300),
  // Not ours.
  ...requests("client_error", "invalid_type", 30),
  ...requests("engine_failed", "engine_failed", 1),
  ...histogram("oxbow_ledger_commit_seconds", 'instance="a"', 0.005, 0.01),
  ...histogram("gen_ai_server_time_to_first_token_seconds", 'class="high"', 0.1, 0.25),
  ...histogram("oxbow_event_loop_lag_seconds", 'instance="a"', 0.005, 0.01),
};

/** What each rule is there for: series in place of those of a server that is well, and the labels that the alert has then. */
const SICK: Record<string, { series: Series; without?: string; labels?: Record<string, string> }> = {
  OxbowDown: { series: {}, without: "oxbow_info" },
  OxbowLedgerCannotWrite: { series: { 'oxbow_ledger_healthy{instance="a"}': always(0) }, labels: { instance: "a" } },
  OxbowLedgerBehind: {
    series: histogram("oxbow_ledger_commit_seconds", 'instance="a"', 2, 5),
    without: "oxbow_ledger_commit_seconds",
    labels: { instance: "a" },
  },
  OxbowErrors: { series: requests("interrupted", "engine_interrupted", 6) },
  OxbowInternalErrors: { series: requests("engine_failed", "internal_error", 1) },
  OxbowModelNotWarm: {
    series: { 'oxbow_model_state{instance="a",model="m",state="failed"}': always(1) },
    labels: { model: "m" },
  },
  OxbowEngineOut: {
    series: { 'oxbow_engine_state{instance="a",engine="e",state="ejected"}': always(1) },
    labels: { engine: "e" },
  },
  OxbowLineDrops: {
    series: { 'oxbow_queue_left_total{instance="a",class="high",how="shed"}': grows(1) },
    labels: { class: "high" },
  },
  OxbowSlowFirstToken: {
    series: histogram("gen_ai_server_time_to_first_token_seconds", 'class="high"', 10, 30),
    without: "gen_ai_server_time_to_first_token_seconds",
    labels: { class: "high" },
  },
  OxbowEventLoopBlocked: {
    series: histogram("oxbow_event_loop_lag_seconds", 'instance="a"', 0.5, 1),
    without: "oxbow_event_loop_lag_seconds",
    labels: { instance: "a" },
  },
  OxbowRequestNeverEnds: {
    series: { 'oxbow_ledger_open_age_seconds{instance="a"}': always(4_000) },
    labels: { instance: "a" },
  },
};

/** A test file of promtool: with these series, at the end of the hour, only `firing` fires. */
function testOf(series: Series, firing: string | null, labels: Record<string, string> = {}) {
  const alerts = rules.map(({ alert, labels: own, annotations }) => {
    const filled = Object.entries(annotations).map(([key, text]) => [
      key,
      text.replace(/\{\{ \$labels\.(\w+) \}\}/g, (_, name) => labels[name] ?? ""),
    ]);
    const expected = { exp_labels: { ...own, ...labels }, exp_annotations: Object.fromEntries(filled) };
    return { eval_time: "50m", alertname: alert, exp_alerts: alert === firing ? [expected] : [] };
  });
  return {
    interval: "30s",
    input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
    alert_rule_test: alerts,
  };
}

function outcomeOf(tests: object[]): { code: number; said: string } {
  const file = join(folder, "alerts.test.yaml");
  writeFileSync(file, stringify({ rule_files: [FILE], evaluation_interval: "30s", tests }));
  return run("test", "rules", file);
}

const seriesFor = (name: string): Series => {
  const { series, without } = SICK[name]!;
  const rest = Object.entries(WELL).filter(([key]) => without === undefined || !key.startsWith(without));
  return { ...Object.fromEntries(rest), ...series };
};

test.skipIf(promtool === null)(`the rules load${promtool === null ? " (no promtool to be had here)" : ""}`, () => {
  expect(run("check", "rules", FILE)).toMatchObject({
    code: 0,
    said: expect.stringContaining(`${rules.length} rules`),
  });
});

test.skipIf(promtool === null)("none fires on a server that is well", () => {
  expect(outcomeOf([testOf(WELL, null)])).toMatchObject({ code: 0, said: expect.stringContaining("SUCCESS") });
  // And promtool would say so.
  const wrong = outcomeOf([testOf(WELL, "OxbowErrors")]);
  expect(wrong.code).toBe(1);
  expect(wrong.said).toContain("alertname: OxbowErrors");
});

test("every rule has what it is there for", () => {
  expect(Object.keys(SICK)).toEqual(rules.map(({ alert }) => alert));
});

test.skipIf(promtool === null).each(Object.keys(SICK))(
  "%s fires on what it is there for, and no other with it",
  (name) => {
    const series = seriesFor(name);
    expect(outcomeOf([testOf(series, name, SICK[name]!.labels)])).toMatchObject({ code: 0 });
  },
);
