// Traces: where the time of a request went, as spans for the operator's own collector. A request is traced when whoever calls
// asks for it (the flag in W3C's `traceparent`), or by chance. The libraries are loaded only when a collector is configured; a
// request that is not traced costs a look at one header.

import type { Span } from "@opentelemetry/api";

export interface TracesOptions {
  /** Base URL of a collector that takes OTLP over HTTP; undefined: there are no traces. */
  endpoint: string | undefined;
  /** Sent with every batch: what the collector asks for. */
  headers: Readonly<Record<string, string>>;
  /** Of requests that bring no `traceparent`, the share that is traced; 0 to 1. */
  ratio: number;
  service: string;
  version: string;
  /** 0 to 1. */
  random: () => number;
  log: { warn(fields: object, text: string): void };
}

export type Attributes = Record<string, string | number | boolean>;

export interface Traces {
  /** Begins the trace of a request, or goes on with its caller's. Null: this one is not traced. */
  begin(headers: Headers): Trace | null;
  /** Sends what there is, for the end of the process. */
  close(): Promise<void>;
}

export interface Trace {
  /** A part of the request begins, and the one before it ends. @returns `traceparent` for whoever does it */
  part(name: string, kind: "internal" | "client", attributes?: Attributes): string;
  /** All of it has ended. @param error what went wrong; "": nothing */
  end(name: string, attributes: Attributes, error: string): void;
}

const NONE: Traces = { begin: () => null, close: async () => {} };

/** Spans that wait for the collector. More are dropped: a collector that hangs must not fill the memory. */
const WAITING_MAX = 2_048;
const SEND_EVERY_MS = 1_000;
const SEND_MS_MAX = 5_000;
/** Between two complaints about a collector. */
const COMPLAIN_MS = 60_000;

export async function createTraces(options: TracesOptions): Promise<Traces> {
  const { endpoint, headers, ratio, random, log } = options;
  if (endpoint === undefined) return NONE;
  const { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, trace } = await import("@opentelemetry/api");
  const { parseTraceParent, setGlobalErrorHandler } = await import("@opentelemetry/core");
  const { OTLPTraceExporter } = await import("@opentelemetry/exporter-trace-otlp-http");
  const { resourceFromAttributes } = await import("@opentelemetry/resources");
  const { BatchSpanProcessor, TracerProvider } = await import("@opentelemetry/sdk-trace");

  let complainedAt = Number.NEGATIVE_INFINITY;
  setGlobalErrorHandler((error) => {
    if (performance.now() - complainedAt < COMPLAIN_MS) return;
    complainedAt = performance.now();
    log.warn({ cause: String(error instanceof Error ? error.message : error).slice(0, 200) }, "traces are not taken");
  });
  const url = `${endpoint.replace(/\/+$/, "")}/v1/traces`;
  const exporter = new OTLPTraceExporter({ url, headers: { ...headers }, timeoutMillis: SEND_MS_MAX });
  const provider = new TracerProvider({
    resource: resourceFromAttributes({ "service.name": options.service, "service.version": options.version }),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter,
        maxQueueSize: WAITING_MAX,
        scheduledDelayMillis: SEND_EVERY_MS,
        exportTimeoutMillis: SEND_MS_MAX + 1_000,
      }),
    ],
  });
  const tracer = provider.getTracer("oxbow", options.version);

  /** The caller's span; null: he names none; "no": he does not want it traced. */
  function parentOf(given: Headers): ReturnType<typeof parseTraceParent> | "no" {
    const text = given.get("traceparent");
    const parent = text === null ? null : parseTraceParent(text);
    if (parent === null) return null;
    return (parent.traceFlags & TraceFlags.SAMPLED) === 0 ? "no" : parent;
  }

  const parentText = (span: Span): string => {
    const { traceId, spanId } = span.spanContext();
    return `00-${traceId}-${spanId}-01`;
  };

  return {
    begin(given) {
      const parent = parentOf(given);
      if (parent === "no" || (parent === null && random() >= ratio)) return null;
      const outer = parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, { ...parent, isRemote: true });
      const whole = tracer.startSpan("request", { kind: SpanKind.SERVER, startTime: unixMs() }, outer);
      const inner = trace.setSpan(outer, whole);
      let part: Span | null = null;
      return {
        part(name, kind, attributes = {}) {
          const startTime = unixMs();
          part?.end(startTime);
          const ofKind = kind === "client" ? SpanKind.CLIENT : SpanKind.INTERNAL;
          part = tracer.startSpan(name, { kind: ofKind, attributes, startTime }, inner);
          return parentText(part);
        },
        end(name, attributes, error) {
          for (const span of [part, whole]) {
            if (error !== "") span?.setStatus({ code: SpanStatusCode.ERROR, message: error });
          }
          const endTime = unixMs();
          part?.end(endTime);
          whole.updateName(name);
          whole.setAttributes(attributes);
          whole.end(endTime);
        },
      };
    },
    close: () => provider.shutdown().catch(() => {}), // the collector is gone: the error handler has said so
  };
}

/** One clock for all parts of a trace, which never goes back. The library's own is set anew for each span. */
function unixMs(): number {
  return performance.timeOrigin + performance.now();
}
