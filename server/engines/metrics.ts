// Reads the Prometheus text format as far as the load of an engine needs it: names and values, labels dropped.
// Source: "Exposition formats", prometheus.io/docs, read 2026-11-21.

/** The values of each name, one for each set of labels. */
export type Metrics = Map<string, number[]>;

const SAMPLE = /^([A-Za-z_:][A-Za-z0-9_:]*)(?:\{.*\})?[ \t]+(\S+)/;

/** What is no sample, or no finite number, is passed over. */
export function readMetrics(text: string): Metrics {
  const metrics: Metrics = new Map();
  for (const line of text.split("\n")) {
    const [, name, said] = SAMPLE.exec(line) ?? [];
    if (name === undefined) continue;
    const value = Number(said);
    if (!Number.isFinite(value)) continue;
    const values = metrics.get(name);
    if (values) values.push(value);
    else metrics.set(name, [value]);
  }
  return metrics;
}
