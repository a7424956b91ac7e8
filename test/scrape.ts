// A scrape of a running server, read by a parser that is not ours: Prometheus' own, in Python.

import { join } from "node:path";
import { KEY } from "./harness.ts";
import { pythonWithClients } from "./python/venv.ts";

export interface Sample {
  name: string;
  labels: Record<string, string>;
  value: number;
}

export interface ScrapedFamily {
  name: string;
  type: string;
  help: string;
  samples: Sample[];
}

/** @throws Error when the server does not answer with metrics, or the parser does not take them */
export async function scrape(port: number): Promise<ScrapedFamily[]> {
  const answer = await fetch(`http://127.0.0.1:${port}/metrics`, { headers: { authorization: `Bearer ${KEY}` } });
  const text = await answer.text();
  if (answer.status !== 200) throw new Error(`${answer.status}: ${text}`);
  return parseScrape(text);
}

export function parseScrape(text: string): ScrapedFamily[] {
  const script = join(import.meta.dir, "python/read_metrics.py");
  const done = Bun.spawnSync([pythonWithClients(), script], { stdin: Buffer.from(text) });
  if (done.exitCode !== 0) throw new Error(done.stderr.toString());
  return JSON.parse(done.stdout.toString()) as ScrapedFamily[];
}

/** The sum of the samples of that name whose labels are as given. */
export function sumOf(families: ScrapedFamily[], name: string, labels: Record<string, string> = {}): number {
  return families
    .flatMap(({ samples }) => samples)
    .filter((sample) => sample.name === name && Object.entries(labels).every(([key, is]) => sample.labels[key] === is))
    .reduce((sum, { value }) => sum + value, 0);
}
