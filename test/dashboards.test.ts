// The dashboard and the alert rules ask only for what a running server says: every query is read by Prometheus' own grammar,
// and every metric and label in it must be in a scrape.

import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { SyntaxNode } from "@lezer/common";
import { parser } from "@prometheus-io/lezer-promql";
import { parse, stringify } from "yaml";
import { dataWith, simulatorAlone } from "./data.ts";
import { KEY, ROOT } from "./harness.ts";
import { type ScrapedFamily, scrape } from "./scrape.ts";
import { HELLO, MODEL, useServer } from "./suite.ts";

// Every metric has a sample once a call was made, on a server that mirrors.
const data = dataWith(simulatorAlone);
writeFileSync(
  join(data.folder, "traffic.yaml"),
  stringify({ mirrors: { [MODEL]: { share: 1, to: { engine: "simulator" } } } }),
);
afterAll(data.remove);
const server = useServer({ simulate: true, env: { OXBOW_DATA: data.folder } });
let families: ScrapedFamily[];
beforeAll(async () => {
  await fetch(`http://127.0.0.1:${server().port}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
    body: JSON.stringify({ model: MODEL, messages: HELLO, stream: true, stream_options: { include_usage: true } }),
  }).then((answer) => answer.text());
  families = await scrape(server().port);
}, 120_000);

interface Rules {
  groups: { rules: { alert: string; expr: string; annotations: Record<string, string> }[] }[];
}
const dashboard = JSON.parse(readFileSync(join(ROOT, "deploy/grafana/oxbow.json"), "utf8"));
const rules = (parse(readFileSync(join(ROOT, "deploy/prometheus/alerts.yaml"), "utf8")) as Rules).groups.flatMap(
  (group) => group.rules,
);
const queries: [where: string, query: string][] = [
  ...dashboard.panels.flatMap((panel: { title: string; targets?: { expr: string }[] }) =>
    (panel.targets ?? []).map(({ expr }) => [`panel ${panel.title}`, expr]),
  ),
  ...rules.map(({ alert, expr }) => [`alert ${alert}`, expr]),
];

/** What Prometheus adds to every sample. */
const ADDED = ["job", "instance"];

/** @returns what is wrong with a query; nothing: it can be answered */
function objectionsTo(query: string): string[] {
  const text = query.replaceAll("$__rate_interval", "5m");
  const found: string[] = [];
  const metrics = new Set<string>();
  const labels = new Set<string>();
  parser.parse(text).iterate({
    enter: (node) => {
      const said = text.slice(node.from, node.to);
      if (node.type.isError) found.push(`not PromQL at ${node.from}: ${text}`);
      if (node.name === "VectorSelector") {
        const name = node.node.getChild("Identifier");
        const metric = text.slice(name!.from, name!.to);
        metrics.add(metric);
        const known = labelsOf(metric);
        if (known === null) found.push(`no metric ${metric}`);
        for (const label of matchersIn(node.node, text)) {
          if (known !== null && !known.includes(label)) found.push(`${metric} has no label ${label}`);
        }
      }
      if (node.name === "GroupingLabels") for (const label of said.match(/\w+/g) ?? []) labels.add(label);
    },
  });
  for (const label of labels) {
    if (![...metrics].some((metric) => labelsOf(metric)?.includes(label))) found.push(`nothing has the label ${label}`);
  }
  if (metrics.size === 0) found.push("it asks for no metric");
  return found;
}

function matchersIn(selector: SyntaxNode, text: string): string[] {
  const matchers = selector.getChild("LabelMatchers");
  if (!matchers) return [];
  return [...text.slice(matchers.from, matchers.to).matchAll(/(\w+)\s*(?:=~|!~|!=|=)\s*"/g)].map(([, name]) => name!);
}

function labelsOf(metric: string): string[] | null {
  const samples = families.flatMap((family) => family.samples).filter(({ name }) => name === metric);
  return samples.length === 0 ? null : [...ADDED, ...new Set(samples.flatMap((each) => Object.keys(each.labels)))];
}

test.each(queries)("%s asks for what there is", (_, query) => {
  expect(objectionsTo(query)).toEqual([]);
});

test("a query for something else would be found", () => {
  expect(objectionsTo("rate(oxbow_nothing_total[5m])")).toEqual(["no metric oxbow_nothing_total"]);
  expect(objectionsTo('oxbow_queue_depth{colour="red"}')).toEqual(["oxbow_queue_depth has no label colour"]);
  expect(objectionsTo("sum by (colour) (oxbow_queue_depth)")).toEqual(["nothing has the label colour"]);
  expect(objectionsTo("sum by (class (oxbow_queue_depth)")[0]).toStartWith("not PromQL");
});

test("what the dashboard and the rules stand on is complete", () => {
  expect(queries.length).toBeGreaterThan(30);
  for (const { query } of dashboard.templating.list.slice(1)) {
    const [, metric, label] = /^label_values\((\w+), (\w+)\)$/.exec(query)!;
    expect(labelsOf(metric!)).toContain(label!);
  }
  expect(new Set(dashboard.panels.map(({ id }: { id: number }) => id)).size).toBe(dashboard.panels.length);
  for (const { annotations } of rules) expect(Object.keys(annotations)).toEqual(["summary", "action"]);
});
