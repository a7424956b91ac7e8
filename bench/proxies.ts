// What the gateway costs beside a bare Bun proxy and nginx: processor time and wall time per request and per streamed
// chunk, for a long prompt, and memory per open stream. All stand before the same fixed upstream, in the same run, and take
// turns, so that a slow moment of the machine hits all of them. Oxbow runs as it ships: keys checked, plans admitted, the
// queue passed, and every request settled on disk before its last byte leaves.

import { callBody, openStreams, run, type Target } from "./load.ts";
import { cpuMs, heldBytes } from "./processes.ts";

/** Microseconds per unit (request or chunk), medians of the rounds. */
export interface CallMeasure {
  scenario: string;
  target: string;
  /** Processor time, all threads. */
  cpuUs: number;
  /** From start to end of all calls, divided by the units. */
  wallUs: number;
  /** `cpuUs` by the bare proxy's of the same round: the median, and what the rounds lay between. */
  toBare: number;
  toBareMin: number;
  toBareMax: number;
  /** The same by nginx's; null without nginx. */
  toNginx: number | null;
}

export interface StreamMeasure {
  target: string;
  streams: number;
  /** Bytes of memory for each. */
  bytesPerStream: number;
}

interface Scenario {
  name: string;
  body: string;
  calls: number;
  parallel: number;
  /** What one call counts as: 1, or its chunks. */
  units: number;
}

const CHUNKS = 100;

function scenarios(model: string): Scenario[] {
  return [
    { name: "whole answer, 16 callers, per request", body: callBody(model), calls: 8_000, parallel: 16, units: 1 },
    { name: "whole answer, 64 callers, per request", body: callBody(model), calls: 8_000, parallel: 64, units: 1 },
    {
      // Slow enough that chunks stay apart: where the machine is saturated they merge, and cost less than they do.
      name: "streamed, 32 callers, per chunk",
      body: callBody(model, { chunks: CHUNKS, gapMs: 8 }),
      calls: 64,
      parallel: 32,
      units: CHUNKS,
    },
    { name: "4 MB prompt, per request", body: callBody(model, undefined, 4_000_000), calls: 60, parallel: 4, units: 1 },
  ];
}

type Sample = Pick<CallMeasure, "cpuUs" | "wallUs">;

/** @param rounds each target runs each scenario this often, in turn; the first target is the yardstick */
export async function measureCalls(targets: Target[], model: string, rounds: number): Promise<CallMeasure[]> {
  const results: CallMeasure[] = [];
  for (const scenario of scenarios(model)) {
    console.error(`${scenario.name}: warming up, then ${rounds} rounds`);
    const samples = new Map(targets.map((target) => [target.name, [] as Sample[]]));
    // A server that runs for days is measured as one: code that has been compiled, not code that is being compiled.
    for (let warmUps = 0; warmUps < 2; warmUps++) {
      for (const target of targets) await run(target, scenario.body, scenario.calls, scenario.parallel);
    }
    for (let round = 0; round < rounds; round++) {
      for (const target of targets) samples.get(target.name)!.push(await sample(target, scenario));
    }
    const bare = samples.get(targets[0]!.name)!;
    const nginx = samples.get("nginx");
    for (const { name } of targets) {
      const mine = samples.get(name)!;
      const toBare = ratios(mine, bare);
      results.push({
        scenario: scenario.name,
        target: name,
        cpuUs: median(mine.map(({ cpuUs }) => cpuUs)),
        wallUs: median(mine.map(({ wallUs }) => wallUs)),
        toBare: median(toBare),
        toBareMin: Math.min(...toBare),
        toBareMax: Math.max(...toBare),
        toNginx: nginx ? median(ratios(mine, nginx)) : null,
      });
    }
  }
  return results;
}

function ratios(mine: Sample[], others: Sample[]): number[] {
  return mine.map(({ cpuUs }, round) => cpuUs / others[round]!.cpuUs);
}

async function sample(target: Target, { body, calls, parallel, units }: Scenario): Promise<Sample> {
  const cpu = cpuMs(target.pid);
  const start = performance.now();
  await run(target, body, calls, parallel);
  const scale = 1_000 / (calls * units);
  return { cpuUs: (cpuMs(target.pid) - cpu) * scale, wallUs: (performance.now() - start) * scale };
}

/** Memory that `count` open and silent streams take, each. @param target a process that has done nothing else */
export async function measureStreams(target: Target, model: string, count: number): Promise<StreamMeasure> {
  console.error(`${count} open streams: ${target.name}`);
  const body = callBody(model, { idle: true });
  // Some before, which stay: what the first ones alone take is not counted.
  const closeFirst = await openStreams(target, body, Math.ceil(count / 10));
  const before = await collectedBytes(target);
  const close = await openStreams(target, body, count);
  const bytesPerStream = Math.round(((await collectedBytes(target)) - before) / count);
  close();
  closeFirst();
  return { target: target.name, streams: count, bytesPerStream };
}

/** What a process holds when it has thrown away what it can, and given the pages back. */
async function collectedBytes({ pid, collects }: Target): Promise<number> {
  for (let times = 0; times < 3; times++) {
    if (collects) process.kill(pid, "SIGUSR2");
    await Bun.sleep(COLLECT_MS);
  }
  return heldBytes(pid);
}

/** Pages are given back a while after what was in them. */
const COLLECT_MS = 3_000;

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
