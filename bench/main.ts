// `npm run bench`: what Oxbow costs, as ratios to yardsticks of the same run. Prints a table and writes it with machine and
// commit to bench/results/. Parts by name: `npm run bench -- proxies`, `-- ready`, `-- llama`,
// `-- embeddings`.

import { mkdtempSync } from "node:fs";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { writeData } from "./data.ts";
import { benchEmbeddings } from "./embeddings.ts";
import { benchLlama } from "./llama.ts";
import type { Target } from "./load.ts";
import { findNginx, startNginx } from "./nginx.ts";
import { answers, exists, freePort, startChild, waitUntil } from "./processes.ts";
import { type Measure, measureCalls, measureStreams, median } from "./proxies.ts";

const ROOT = join(import.meta.dir, "..");
const KEY = "benchmark-key-that-is-no-secret";
const HEADERS = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };
const MODEL = "bench";
const STREAMS = 1_000;

const parts = process.argv.slice(2).filter((argument) => !argument.startsWith("-"));
const wanted = (part: string) => parts.length === 0 || parts.includes(part);
const rounds = Number(process.env.BENCH_ROUNDS ?? 5);

const tables: Record<string, object[]> = {};
if (wanted("proxies")) tables.proxies = (await benchProxies()).map(rounded);
if (wanted("ready")) tables.ready = [await benchReady()];
if (wanted("llama")) {
  tables.llama = await benchLlama(async (env) => {
    const { port, process } = await startOxbow(env);
    return { name: "Oxbow", url: url(port), pid: process.pid, headers: HEADERS };
  }, rounds);
}
if (wanted("embeddings")) {
  tables.embeddings = await benchEmbeddings(async (env) => {
    const { port, process } = await startOxbow(env);
    return { name: "Oxbow", url: url(port, "/v1/embeddings"), pid: process.pid, headers: HEADERS };
  }, rounds);
}
for (const [name, rows] of Object.entries(tables)) {
  console.log(`\n${name}`);
  console.table(rows);
}
console.log(`written to ${await save(tables)}`);
process.exit(0);

async function benchProxies(): Promise<Measure[]> {
  const dir = mkdtempSync(join(tmpdir(), "oxbow-bench-"));
  const socket = join(dir, "engine.sock");
  const config = { socket, models: [{ id: MODEL }], slots: 10_000, threads: 1, options: {} };
  startChild([process.execPath, join(import.meta.dir, "mock-worker.ts"), JSON.stringify(config)]);
  await waitUntil(exists(socket), "the fixed upstream");

  const bare = await freePort();
  const proxy = startChild([process.execPath, join(import.meta.dir, "bare-proxy.ts"), socket, String(bare)]);
  const oxbow = await startOxbow({ OXBOW_DATA: writeData() });
  const targets: Target[] = [
    { name: "bare Bun proxy", url: url(bare), pid: proxy.pid, headers: HEADERS },
    { name: "Oxbow", url: url(oxbow.port), pid: oxbow.process.pid, headers: HEADERS },
  ];
  const binary = findNginx();
  if (binary) {
    const port = await freePort();
    const nginx = startNginx(binary, socket, port);
    process.on("exit", () => nginx.kill());
    targets.push({ name: "nginx", url: url(port), pid: nginx.pid, headers: HEADERS });
  } else console.error("nginx is not installed: its rows are left out (apt-get install nginx-light)");
  await Bun.sleep(500);

  return [...(await measureCalls(targets, MODEL, rounds)), ...(await measureStreams(targets, MODEL, STREAMS))];
}

/** From the start of the process to the first 200 of /ready, with the built-in model. */
async function benchReady() {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const { process, readyMs } = await startOxbow({});
    times.push(readyMs);
    process.kill("SIGTERM");
    await process.exited;
  }
  return { what: "time to ready with the built-in model, ms", median: Math.round(median(times)), rounds };
}

async function startOxbow(env: Record<string, string>) {
  const port = await freePort();
  const home = mkdtempSync(join(tmpdir(), "oxbow-bench-home-"));
  const start = performance.now();
  const process_ = startChild([process.execPath, join(ROOT, "cli/main.ts"), "up"], {
    PORT: String(port),
    OXBOW_HOME: home,
    OXBOW_BOOTSTRAP_KEY: KEY,
    OXBOW_LOG_LEVEL: "fatal",
    ...env,
  });
  process.on("exit", () => process_.kill());
  await waitUntil(answers(`http://127.0.0.1:${port}/ready`), "Oxbow");
  return { process: process_, port, readyMs: performance.now() - start };
}

function url(port: number, path = "/v1/chat/completions"): string {
  return `http://127.0.0.1:${port}${path}`;
}

function rounded(measure: Measure): object {
  const tenth = (value: number | undefined) => (value === undefined ? undefined : Math.round(value * 10) / 10);
  const hundredth = (value: number | undefined) => (value === undefined ? undefined : Math.round(value * 100) / 100);
  return { ...measure, cpuUs: tenth(measure.cpuUs), wallUs: tenth(measure.wallUs), ratio: hundredth(measure.ratio) };
}

async function save(results: object): Promise<string> {
  const git = (...args: string[]) =>
    Bun.spawnSync(["git", ...args], { cwd: ROOT })
      .stdout.toString()
      .trim();
  const commit = git("rev-parse", "--short", "HEAD") || "unknown";
  const file = join(import.meta.dir, "results", `${new Date().toISOString().slice(0, 10)}-${commit}.json`);
  const machine = {
    processor: cpus()[0]?.model,
    cores: cpus().length,
    memoryBytes: totalmem(),
    system: process.platform,
  };
  const changed = git("status", "--porcelain") !== "";
  await Bun.write(
    file,
    `${JSON.stringify({ commit, changed, bun: Bun.version, machine, rounds, ...results }, null, 2)}\n`,
  );
  return file;
}
