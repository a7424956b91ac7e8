// What is counted of every request, once, when it has ended.

import type { RequestRecord } from "./record.ts";
import { createRows, type Family, type Labels, type Sample } from "./tally.ts";
import { addTimes, createTimes, type Times } from "./times.ts";

/** A server with forty models in daily use has some hundreds of rows; more share one for each status. */
const ROWS_MAX = 4_000;

interface Row {
  labels: Labels;
  /** Of what is summed over all ends of a request. */
  account: Labels;
  count: number;
  units: number;
  tokensIn: number;
  tokensOut: number;
  clientRetries: number;
  retries: number;
  /** null: no model was at work. */
  times: Times | null;
}

export function createRequestMetrics() {
  const times = createTimes();
  const rest = (record: RequestRecord): RequestRecord => ({
    ...record,
    endpoint: "other",
    model: record.model === "" ? "" : "other",
    servedModel: "",
    priority: "",
    plan: "other",
    code: record.code === "" ? "" : "other",
    outcome: "",
  });
  /** By field: no more than our tables name. */
  const dropped = new Map<string, number>();
  const rows = createRows(ROWS_MAX, keyOf, make, rest);

  function make(record: RequestRecord): Row {
    const { endpoint, model, plan, status, code, outcome } = record;
    const labels = { endpoint, model, plan, status: String(status), code, outcome: outcome || "none" };
    const none = { count: 0, units: 0, tokensIn: 0, tokensOut: 0, clientRetries: 0, retries: 0 };
    return { labels, account: { model, plan }, ...none, times: model === "" ? null : times.rowOf(record) };
  }

  function counter(name: string, help: string, of: (all: Row[]) => Sample[]): Family {
    return { name, help, type: "counter", samples: () => of(rows.all()) };
  }

  return {
    /** Called once for every request, at its end. */
    observe(record: RequestRecord): void {
      const row = rows.rowOf(record);
      row.count++;
      row.units += record.units;
      row.tokensIn += record.tokensIn;
      row.tokensOut += record.tokensOut;
      row.retries += record.retries;
      if (record.clientRetry) row.clientRetries++;
      for (const field of record.dropped) dropped.set(field, (dropped.get(field) ?? 0) + 1);
      if (row.times !== null) addTimes(row.times, record);
    },

    families: (): Family[] => [
      counter("oxbow_requests_total", "Requests that have ended, by how.", (all) =>
        summed(all, ({ labels }) => labels, "count"),
      ),
      counter("oxbow_units_total", "Units that were counted against plans.", (all) =>
        summed(all, ({ account }) => account, "units"),
      ),
      counter("oxbow_tokens_total", "Tokens of settled answers, as their engines counted them.", (all) => [
        ...summed(all, ({ account }) => ({ ...account, gen_ai_token_type: "input" }), "tokensIn"),
        ...summed(all, ({ account }) => ({ ...account, gen_ai_token_type: "output" }), "tokensOut"),
      ]),
      counter("oxbow_client_retries_total", "Requests of SDKs that had asked before.", (all) =>
        summed(all, ({ labels }) => ({ endpoint: labels.endpoint! }), "clientRetries"),
      ),
      counter("oxbow_engine_retries_total", "Times that another engine was tried, by model.", (all) =>
        summed(
          all.filter((row) => row.times !== null),
          ({ labels }) => ({ model: labels.model! }),
          "retries",
        ),
      ),
      counter("oxbow_fields_dropped_total", "Requests with a field that no engine, or not theirs, is given.", () =>
        [...dropped].map(([field, value]) => ({ labels: { field }, value })),
      ),
      ...times.families(),
    ],
  };
}

function keyOf({ endpoint, model, servedModel, plan, status, code, outcome, priority }: RequestRecord): string {
  return `${endpoint}\n${model}\n${servedModel}\n${plan}\n${status}\n${code}\n${outcome}\n${priority}`;
}

type Amount = "count" | "units" | "tokensIn" | "tokensOut" | "clientRetries" | "retries";

/** Rows that have the same labels are one line. */
function summed(rows: Row[], labelsOf: (row: Row) => Labels, amount: Amount): Sample[] {
  const lines = new Map<string, Sample>();
  for (const row of rows) {
    const labels = labelsOf(row);
    const key = Object.values(labels).join("\n");
    const line = lines.get(key) ?? { labels, value: 0 };
    line.value += row[amount];
    lines.set(key, line);
  }
  return [...lines.values()];
}
