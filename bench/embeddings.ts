// Embeddings a second of the onnx worker, through the whole server, beside the library called directly: the same file, the
// same threads, the same texts, in turns. The model is noise of the size of a small real one (6 layers of 384, 10.6 M
// parameters behind its table of words): its speed is what counts.

import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeBert } from "../models/fixtures/bert.ts";
import { writeData } from "./data.ts";
import { textsOf } from "./embedding-texts.ts";
import type { Target } from "./load.ts";
import { childrenOf, cpuMs } from "./processes.ts";
import { median } from "./proxies.ts";

/** Texts of one call, and calls at the same time. The library knows no callers: it makes one call after the other. */
const LOADS = [
  { batch: 1, callers: 1 },
  { batch: 1, callers: 8 },
  { batch: 32, callers: 1 },
  { batch: 256, callers: 1 },
];
const BATCHES = [...new Set(LOADS.map(({ batch }) => batch))];
const SHAPE = { seed: 1, layers: 6, width: 384, heads: 12, contextTokens: 512 };
const THREADS = 1;
/** Texts that one measurement embeds at least. */
const TEXTS = 128;

/**
 * @param start starts the server with these settings, and says where it listens
 * @param rounds the library and the server take turns this often
 */
export async function benchEmbeddings(start: (env: Record<string, string>) => Promise<Target>, rounds: number) {
  const folder = mkdtempSync(join(tmpdir(), "oxbow-bench-bert-"));
  writeBert(folder, SHAPE);
  const target = await start({ OXBOW_DATA: writeData(engines(folder), MODEL) });
  const bare = LOADS.map(() => [] as Speed[]);
  const served = LOADS.map(() => [] as Speed[]);
  await runServed(target, LOADS[0]!);
  for (let round = 0; round < rounds; round++) {
    const speeds = await runBare(folder);
    for (const [index, load] of LOADS.entries()) {
      bare[index]!.push(speeds[BATCHES.indexOf(load.batch)]!);
      served[index]!.push(await runServed(target, load));
    }
  }
  return LOADS.map((load, index) => {
    const [ours, theirs] = [served[index]!, bare[index]!];
    const of = (speeds: Speed[], key: keyof Speed) => median(speeds.map((speed) => speed[key]));
    const ratio = (key: keyof Speed) => median(ours.map((speed, round) => speed[key] / theirs[round]![key]));
    return {
      ...load,
      barePerSecond: rounded(of(theirs, "perSecond")),
      oxbowPerSecond: rounded(of(ours, "perSecond")),
      ratio: rounded(ratio("perSecond")),
      bareCpuMs: rounded(of(theirs, "cpuMs")),
      oxbowCpuMs: rounded(of(ours, "cpuMs")),
      cpuRatio: rounded(ratio("cpuMs")),
    };
  });
}

const rounded = (value: number) => Math.round(100 * value) / 100;

/** Of one measurement: embeddings a second, and processor time for one, of all processes. */
interface Speed {
  perSecond: number;
  cpuMs: number;
}

const MODEL = `
bert:
  name: Bert
  category: embeddings
  tier: free
  contextTokens: 512
  capabilities: [embeddings]
  dimensions: ${SHAPE.width}
  ownedBy: oxbow
  weights: null
  source: [models/fixtures]
  read: 2026-11-21
`;

const engines = (folder: string) => `
kinds:
  onnx: { worker: workers/onnx/main.ts, loadsFiles: true, features: [embeddings] }
engines:
  bert:
    kind: onnx
    models: [{ id: bert, file: ${JSON.stringify(folder)} }]
    slots: 8
    threads: ${THREADS}
`;

async function runBare(folder: string): Promise<Speed[]> {
  const script = join(import.meta.dir, "bare-embeddings.ts");
  const command = [process.execPath, script, folder, String(THREADS), String(TEXTS), ...BATCHES.map(String)];
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "ignore" });
  const lines = (await new Response(child.stdout).text()).trim().split("\n");
  const speeds = lines.map((line) => {
    const [perSecond = Number.NaN, cpuMs = Number.NaN] = line.split(" ").map(Number);
    return { perSecond, cpuMs };
  });
  if (speeds.length === BATCHES.length && speeds.every(({ cpuMs }) => cpuMs > 0)) return speeds;
  throw new Error("the library did not run: try bench/bare-embeddings.ts by hand");
}

/** Of the server and its workers. */
function cpuOfAll(pid: number): number {
  return [pid, ...childrenOf(pid)].reduce((sum, each) => sum + cpuMs(each), 0);
}

/** One call after the other, in the encoding that clients ask for. */
async function runServed(target: Target, { batch, callers }: (typeof LOADS)[number]): Promise<Speed> {
  const texts = textsOf(Math.max(TEXTS, batch));
  let next = 0;
  const start = performance.now();
  const used = cpuOfAll(target.pid);
  await Promise.all(Array.from({ length: callers }, call));
  const seconds = (performance.now() - start) / 1000;
  return { perSecond: texts.length / seconds, cpuMs: (cpuOfAll(target.pid) - used) / texts.length };

  async function call(): Promise<void> {
    const from = next;
    if (from >= texts.length) return;
    next += batch;
    const body = { model: "bert", input: texts.slice(from, from + batch), encoding_format: "base64" };
    const answer = await fetch(target.url, { method: "POST", headers: target.headers, body: JSON.stringify(body) });
    const { data } = (await answer.json()) as { data?: unknown[] };
    if (data?.length !== body.input.length) throw new Error(`no embeddings in the answer: ${answer.status}`);
    return call();
  }
}
