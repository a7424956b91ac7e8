// How things stand at the moment of a scrape: lines, engines, models, the ledger. Other rooms count; this only asks them.

import type { Family, Labels, Sample } from "./tally.ts";

/** What the other rooms can say, in plain numbers. */
export interface Sources {
  version: string;
  /** The lines of all models that were called. */
  queues: () => { model: string; classes: QueueCounts[] }[];
  engines: () => { engine: string; kind: string; slots: number; used: number }[];
  models: () => { id: string; engine: string; state: string }[];
  /** Calls that were refused by plan, by rule. */
  refusals: () => Record<string, number>;
  ledger: () => LedgerCounts;
  /** Streams that are open. */
  streams: () => number;
  /** Calls that were sent to a second engine, by the model that was asked for. */
  mirrors: () => { model: string; counts: { compared: number; dropped: number } }[];
}

export interface QueueCounts {
  priority: string;
  depth: number;
  admitted: number;
  shed: number;
  expired: number;
  cancelled: number;
}

export interface LedgerCounts {
  healthy: boolean;
  /** Events that are not on disk yet. */
  waiting: number;
  /** Requests that were let in and have not ended. */
  open: number;
  /** The oldest of them; null: none. */
  openMs: number | null;
}

const MODEL_STATES = ["cold", "loading", "warm", "failed"];

export function stateFamilies(sources: Sources): Family[] {
  const gauge = (name: string, help: string, samples: () => Sample[]): Family => ({
    name,
    help,
    type: "gauge",
    samples,
  });
  const byClass = (of: (each: QueueCounts, labels: Labels) => Sample[]): Sample[] =>
    sources
      .queues()
      .flatMap(({ model, classes }) => classes.flatMap((each) => of(each, { model, class: each.priority })));
  return [
    gauge("oxbow_info", "1, with the version that runs.", () => [{ labels: { version: sources.version }, value: 1 }]),
    gauge("oxbow_queue_depth", "Calls that wait in line.", () =>
      byClass(({ depth }, labels) => [{ labels, value: depth }]),
    ),
    {
      name: "oxbow_queue_left_total",
      help: "Calls that came to a line, by how they left it: shed ones were not let in, expired ones waited too long.",
      type: "counter",
      samples: () =>
        byClass(({ admitted, shed, expired, cancelled }, labels) =>
          Object.entries({ admitted, shed, expired, cancelled }).map(([how, value]) => ({
            labels: { ...labels, how },
            value,
          })),
        ),
    },
    {
      name: "oxbow_refusals_total",
      help: "Calls that an account's plan refused, by rule.",
      type: "counter",
      samples: () => Object.entries(sources.refusals()).map(([rule, value]) => ({ labels: { rule }, value })),
    },
    gauge("oxbow_engine_slots", "Calls that an engine works on at the same time, at most.", () =>
      sources.engines().map(({ engine, kind, slots }) => ({ labels: { engine, kind }, value: slots })),
    ),
    gauge("oxbow_engine_slots_used", "Calls that an engine works on.", () =>
      sources.engines().map(({ engine, kind, used }) => ({ labels: { engine, kind }, value: used })),
    ),
    gauge("oxbow_model_state", "1 for the state that a model is in at an engine.", () =>
      sources
        .models()
        .flatMap(({ id, engine, state }) =>
          MODEL_STATES.map((each) => ({ labels: { model: id, engine, state: each }, value: each === state ? 1 : 0 })),
        ),
    ),
    gauge("oxbow_streams_open", "Streams that are being sent.", () => [{ labels: {}, value: sources.streams() }]),
    {
      name: "oxbow_mirrored_total",
      help: "Calls that were to be sent to a second engine: compared, or dropped because there was no room.",
      type: "counter",
      samples: () =>
        sources
          .mirrors()
          .flatMap(({ model, counts }) =>
            Object.entries(counts).map(([how, value]) => ({ labels: { model, how }, value })),
          ),
    },
    ...ledgerFamilies(sources.ledger),
  ];
}

function ledgerFamilies(ledger: () => LedgerCounts): Family[] {
  const gauge = (name: string, help: string, of: (counts: LedgerCounts) => number): Family => ({
    name,
    help,
    type: "gauge",
    samples: () => [{ labels: {}, value: of(ledger()) }],
  });
  return [
    gauge("oxbow_ledger_healthy", "0 while the disk takes nothing.", ({ healthy }) => (healthy ? 1 : 0)),
    gauge("oxbow_ledger_waiting", "Events that are not on disk yet.", ({ waiting }) => waiting),
    gauge("oxbow_ledger_open", "Requests that were let in and have not ended.", ({ open }) => open),
    gauge(
      "oxbow_ledger_open_age_seconds",
      "Age of the oldest request that has not ended.",
      ({ openMs }) => (openMs ?? 0) / 1000,
    ),
  ];
}
