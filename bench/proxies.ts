// What the gateway costs beside a bare Bun proxy and nginx: processor time and wall time per request and per streamed
// chunk, for a long prompt, and memory per open stream. All three stand before the same fixed upstream, in the same run,
// and take turns, so that a slow moment of the machine hits all of them.

import { callBody, openStreams, run, type Target } from "./load.ts";
import { cpuMs, residentBytes } from "./processes.ts";

export interface Measure {
  scenario: string;
  target: string;
  /** Microseconds of processor time per unit (request or chunk), the median of the rounds. */
  cpuUs?: number;
  /** Microseconds from start to end of all calls, divided by the units. */
  wallUs?: number;
  /** Bytes of memory per open stream. */
  bytesPerStream?: number;
  /** Median over the rounds of this target's figure by the bare proxy's of the same round. */
  ratio?: number;
}

interface Scenario {
  name: string;
  body: string;
  calls: number;
  parallel: number;
  /** What one call counts as: 1, or its chunks. */
  units: number;
}

const CHUNKS = 200;

export function scenarios(model: string): Scenario[] {
  return [
    { name: "whole answer, per request", body: callBody(model), calls: 8_000, parallel: 16, units: 1 },
    {
      name: "streamed, per chunk",
      body: callBody(model, { chunks: CHUNKS, gapMs: 4 }),
      calls: 96,
      parallel: 32,
      units: CHUNKS,
    },
    { name: "4 MB prompt, per request", body: callBody(model, undefined, 4_000_000), calls: 60, parallel: 4, units: 1 },
  ];
}

/** @param rounds each target runs each scenario this often, in turn; the first target is the yardstick */
export async function measureCalls(targets: Target[], model: string, rounds: number): Promise<Measure[]> {
  const results: Measure[] = [];
  for (const scenario of scenarios(model)) {
    const samples = new Map(targets.map((target) => [target.name, [] as { cpu: number; wall: number }[]]));
    // A server that runs for days is measured as one: code that has been compiled, not code that is being compiled.
    for (const target of targets) await run(target, scenario.body, scenario.calls, scenario.parallel);
    for (let round = 0; round < rounds; round++) {
      for (const target of targets) samples.get(target.name)!.push(await sample(target, scenario));
    }
    const yardstick = samples.get(targets[0]!.name)!;
    for (const { name } of targets) {
      const mine = samples.get(name)!;
      results.push({
        scenario: scenario.name,
        target: name,
        cpuUs: median(mine.map(({ cpu }) => cpu)),
        wallUs: median(mine.map(({ wall }) => wall)),
        ratio: median(mine.map(({ cpu }, round) => cpu / yardstick[round]!.cpu)),
      });
    }
  }
  return results;
}

async function sample(target: Target, { body, calls, parallel, units }: Scenario) {
  const cpu = cpuMs(target.pid);
  const start = performance.now();
  await run(target, body, calls, parallel);
  const scale = 1_000 / (calls * units);
  return { cpu: (cpuMs(target.pid) - cpu) * scale, wall: (performance.now() - start) * scale };
}

/** Memory that `count` open and silent streams take, each. */
export async function measureStreams(targets: Target[], model: string, count: number): Promise<Measure[]> {
  const results: Measure[] = [];
  for (const target of targets) {
    // Once before, so that what is kept for ever is not counted.
    (await openStreams(target, callBody(model, { idle: true }), Math.ceil(count / 10)))();
    await Bun.sleep(SETTLE_MS);
    const before = residentBytes(target.pid);
    const close = await openStreams(target, callBody(model, { idle: true }), count);
    await Bun.sleep(SETTLE_MS);
    results.push({
      scenario: `${count} open streams, per stream`,
      target: target.name,
      bytesPerStream: Math.round((residentBytes(target.pid) - before) / count),
    });
    close();
    await Bun.sleep(SETTLE_MS);
  }
  return results;
}

const SETTLE_MS = 1_500;

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
