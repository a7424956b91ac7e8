// How things stand at the moment of a scrape: lines, engines, models, the ledger. Other rooms count; this only asks them.

import type { Family, Labels, Sample } from "./tally.ts";

/** What the other rooms can say, in plain numbers. */
export interface Sources {
  version: string;
  /** The lines of all models that were called. */
  queues: () => { model: string; classes: QueueCounts[] }[];
  engines: () => EngineCounts[];
  /** By model: the state of the engine that says most about it. */
  models: () => { id: string; state: string }[];
  /** Calls that were refused by plan, by rule. */
  refusals: () => Record<string, number>;
  ledger: () => LedgerCounts;
  /** Streams that are open. */
  streams: () => number;
  bodyBytes: () => number;
  /** Calls that were sent to a second engine, by the model that was asked for. */
  mirrors: () => { model: string; counts: { compared: number; dropped: number } }[];
}

export interface EngineCounts {
  id: string;
  kind: string;
  state: string;
  slots: number;
  used: number;
  /** Of its weight, while it comes back: 0 to 1. */
  share: number;
  ejections: number;
  /** By its own metrics; null: it says nothing. */
  load: { running: number; waiting: number; kvUsage: number | null } | null;
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
const ENGINE_STATES = [...MODEL_STATES, "draining", "ejected"];

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
    ...engineFamilies(sources.engines),
    gauge("oxbow_model_state", "1 for the state that a model is in.", () =>
      sources.models().flatMap(({ id, state }) => statesOf({ model: id }, MODEL_STATES, state)),
    ),
    gauge("oxbow_body_bytes", "Bytes of request bodies, and what is made of them, that are held.", () => [
      { labels: {}, value: sources.bodyBytes() },
    ]),
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

function engineFamilies(engines: () => EngineCounts[]): Family[] {
  const family = (name: string, help: string, of: (each: EngineCounts) => number | null): Family => ({
    name,
    help,
    type: name.endsWith("_total") ? "counter" : "gauge",
    samples: () =>
      engines().flatMap((each) => {
        const value = of(each);
        return value === null ? [] : [{ labels: { engine: each.id, kind: each.kind }, value }];
      }),
  });
  return [
    family("oxbow_engine_slots", "Calls that an engine works on at the same time, at most.", ({ slots }) => slots),
    family("oxbow_engine_slots_used", "Calls of ours that an engine works on.", ({ used }) => used),
    family("oxbow_engine_share", "Of its weight, while it comes back after it was sent off.", ({ share }) => share),
    family("oxbow_engine_ejections_total", "Times that an engine was sent off.", ({ ejections }) => ejections),
    family("oxbow_engine_running", "Calls that it works on by its own metrics.", ({ load }) => load?.running ?? null),
    family("oxbow_engine_waiting", "Calls that wait in it by its own metrics.", ({ load }) => load?.waiting ?? null),
    family("oxbow_engine_cache_ratio", "Share of its cache that is in use.", ({ load }) => load?.kvUsage ?? null),
    {
      name: "oxbow_engine_state",
      help: "1 for the state that an engine is in.",
      type: "gauge",
      samples: () => engines().flatMap(({ id, kind, state }) => statesOf({ engine: id, kind }, ENGINE_STATES, state)),
    },
  ];
}

function statesOf(labels: Labels, states: readonly string[], now: string): Sample[] {
  return states.map((state) => ({ labels: { ...labels, state }, value: state === now ? 1 : 0 }));
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
