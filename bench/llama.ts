// Tokens a second of the llama worker, through the whole server, beside the bare engine: the same file, the same threads,
// greedy, in turns. The model is noise of the size of a small real one (about 120 M parameters): its speed is what counts.

import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { benchModel } from "../workers/llama/fixtures.ts";
import { writeData } from "./data.ts";
import type { Target } from "./load.ts";
import { median } from "./proxies.ts";

const PARALLEL = [1, 8, 32];
const TOKENS = 64;
/** All cores would collapse: the engine's threads spin while they wait (shared measurements, 2026-11-21). */
const THREADS = 1;

/**
 * @param start starts the server with these settings, and says where it listens
 * @param rounds the bare engine and the server take turns this often
 */
export async function benchLlama(start: (env: Record<string, string>) => Promise<Target>, rounds: number) {
  const dir = mkdtempSync(join(tmpdir(), "oxbow-bench-llama-"));
  const file = benchModel(dir);
  const target = await start({ OXBOW_DATA: writeData(engines(file)) });
  const bare = PARALLEL.map(() => [] as number[]);
  const served = PARALLEL.map(() => [] as number[]);
  for (let round = 0; round < rounds; round++) {
    const speeds = await runBare(file);
    for (const [index, parallel] of PARALLEL.entries()) {
      bare[index]!.push(speeds[index]!);
      served[index]!.push(await runServed(target, parallel));
    }
  }
  return PARALLEL.map((parallel, index) => ({
    parallel,
    bareTokensPerSecond: Math.round(median(bare[index]!)),
    oxbowTokensPerSecond: Math.round(median(served[index]!)),
    ratio: Math.round(100 * median(served[index]!.map((speed, round) => speed / bare[index]![round]!))) / 100,
  }));
}

const engines = (file: string) => `
kinds:
  llama: { worker: workers/llama/main.ts, loadsFiles: true, features: [] }
engines:
  bench:
    kind: llama
    models: [{ id: bench, file: ${JSON.stringify(file)} }]
    slots: ${Math.max(...PARALLEL)}
    threads: ${THREADS}
    options: { gpu: false }
`;

async function runBare(file: string): Promise<number[]> {
  const script = join(import.meta.dir, "bare-llama.ts");
  const command = [process.execPath, script, file, String(THREADS), String(TOKENS), ...PARALLEL.map(String)];
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "ignore" });
  const lines = (await new Response(child.stdout).text()).trim().split("\n").map(Number);
  if (lines.length !== PARALLEL.length) throw new Error("the bare engine did not run: try bench/bare-llama.ts by hand");
  return lines;
}

/** Tokens a second over `parallel` streams that start together, by the server's own count of tokens. */
async function runServed(target: Target, parallel: number): Promise<number> {
  const start = performance.now();
  const counts = await Promise.all(Array.from({ length: parallel }, (_, index) => stream(target, index)));
  return counts.reduce((sum, count) => sum + count, 0) / ((performance.now() - start) / 1000);
}

async function stream(target: Target, index: number): Promise<number> {
  const body = {
    model: "bench",
    // Different from the first word on, so that no prompt is read from another's memory.
    messages: [{ role: "user", content: `${index} Hello! How are you today?` }],
    max_tokens: TOKENS,
    temperature: 0,
    stream: true,
    stream_options: { include_usage: true },
  };
  const response = await fetch(target.url, { method: "POST", headers: target.headers, body: JSON.stringify(body) });
  const text = await response.text();
  const usage = /"completion_tokens":(\d+)/.exec(text);
  if (!usage) throw new Error(`no usage in the answer: ${response.status} ${text.slice(0, 300)}`);
  return Number(usage[1]);
}
