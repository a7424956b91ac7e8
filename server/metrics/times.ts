// How long requests to models took: in all, to the first token, for each token after it, and in line. The names that
// OpenTelemetry gives to a model server's metrics, in the spelling of Prometheus. Source: semantic conventions for generative
// AI metrics, status Development, https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics, read 2026-11-21; the
// bounds are theirs.

import type { RequestRecord } from "./record.ts";
import { createRows, createSpread, type Family, type Labels, type Spread } from "./tally.ts";

/** Each row is some forty lines of a scrape. A busy server has some dozens; more share one row. */
const ROWS_MAX = 1_000;

const DURATION_S = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92];
const FIRST_TOKEN_S = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const PER_TOKEN_S = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5];
/** Up to the longest wait of data/queue.yaml. */
const WAIT_S = [0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 120];

/** The convention's name of what an endpoint does; the others are told apart by model alone. */
const OPERATIONS: Record<string, string> = {
  "/v1/chat/completions": "chat",
  "/v1/responses": "chat",
  "/v1/completions": "text_completion",
  "/v1/embeddings": "embeddings",
};
const OTHER_OPERATION = "generate_content";

export interface Times {
  labels: Labels;
  duration: Spread;
  firstToken: Spread;
  perToken: Spread;
  wait: { labels: Labels; spread: Spread };
}

export function createTimes() {
  const rest = (record: RequestRecord): RequestRecord => ({
    ...record,
    model: "other",
    servedModel: "",
    code: record.code === "" ? "" : "other",
  });
  const waits = createRows(ROWS_MAX, keyOfWait, makeWait, rest);
  const times = createRows(ROWS_MAX, keyOf, (record) => make(record, waits.rowOf(record)), rest);

  function family(name: string, help: string, of: (row: Times) => Spread): Family {
    // What nobody has told anything is left out.
    const samples = () => times.all().flatMap((row) => (of(row).count > 0 ? of(row).samples(name, row.labels) : []));
    return { name, help, type: "histogram", samples };
  }

  const WAIT = "oxbow_queue_wait_seconds";
  return {
    rowOf: times.rowOf,
    families: (): Family[] => [
      family("gen_ai_server_request_duration_seconds", "From arrival to the last byte.", (row) => row.duration),
      family(
        "gen_ai_server_time_to_first_token_seconds",
        "From arrival to the first token of a stream.",
        (row) => row.firstToken,
      ),
      family(
        "gen_ai_server_time_per_output_token_seconds",
        "Of the tokens of a stream after the first.",
        (row) => row.perToken,
      ),
      {
        name: WAIT,
        help: "In line, of calls that were let in.",
        type: "histogram",
        samples: () =>
          waits.all().flatMap(({ labels, spread }) => (spread.count > 0 ? spread.samples(WAIT, labels) : [])),
      },
    ],
  };
}

export function addTimes(row: Times, { durationMs, firstTokenMs, waitedMs, tokensOut }: RequestRecord): void {
  row.duration.add(durationMs / 1000);
  if (waitedMs !== null) row.wait.spread.add(waitedMs / 1000);
  if (firstTokenMs === null) return;
  row.firstToken.add(firstTokenMs / 1000);
  if (tokensOut > 1) row.perToken.add((durationMs - firstTokenMs) / 1000 / (tokensOut - 1));
}

function keyOf(record: RequestRecord): string {
  const { model, servedModel, code, priority } = record;
  return `${operationOf(record)}\n${model}\n${servedModel}\n${code}\n${priority}`;
}

function operationOf({ endpoint }: RequestRecord): string {
  return OPERATIONS[endpoint] ?? OTHER_OPERATION;
}

function make(record: RequestRecord, wait: Times["wait"]): Times {
  const { model, servedModel, code, priority } = record;
  return {
    labels: {
      gen_ai_operation_name: operationOf(record),
      gen_ai_request_model: model,
      gen_ai_response_model: servedModel || model,
      error_type: code,
      class: priority || "none",
    },
    duration: createSpread(DURATION_S),
    firstToken: createSpread(FIRST_TOKEN_S),
    perToken: createSpread(PER_TOKEN_S),
    wait,
  };
}

function keyOfWait({ model, servedModel, priority }: RequestRecord): string {
  return `${servedModel || model}\n${priority}`;
}

function makeWait({ model, servedModel, priority }: RequestRecord): Times["wait"] {
  return { labels: { model: servedModel || model, class: priority || "none" }, spread: createSpread(WAIT_S) };
}
