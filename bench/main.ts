// `npm run bench`: what Oxbow costs, as ratios to yardsticks of the same run. Prints tables and writes them with machine and
// commit to bench/results/. Parts by name: `npm run bench -- proxies`, `-- streams`, `-- ready`, `-- llama`,
// `-- embeddings`, `-- audio`, `-- images`.

import { mkdtempSync } from "node:fs";
import { cpus, loadavg, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { benchAudio } from "./audio.ts";
import { writeData } from "./data.ts";
import { benchEmbeddings } from "./embeddings.ts";
import { benchImages } from "./images.ts";
import { benchLlama } from "./llama.ts";
import { callBody, run, type Target } from "./load.ts";
import { findNginx, startNginx } from "./nginx.ts";
import { answers, exists, freePort, startChild, waitUntil } from "./processes.ts";
import { type CallMeasure, measureCalls, measureStreams, median } from "./proxies.ts";

const ROOT = join(import.meta.dir, "..");
const KEY = "benchmark-key-that-is-no-secret";
const HEADERS = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };
const MODEL = "bench";
const STREAMS = 3_000;
const BUN = [process.execPath, "--preload", join(import.meta.dir, "collect.ts")];

const parts = process.argv.slice(2).filter((argument) => !argument.startsWith("-"));
const wanted = (part: string) => parts.length === 0 || parts.includes(part);
const rounds = Number(process.env.BENCH_ROUNDS ?? 5);

const tables: Record<string, object[]> = {};
/** Who else was at work: figures of a busy machine are for the moment, and not to be kept. */
const loadBefore = loadavg()[0]!;
if (wanted("proxies")) tables.proxies = (await benchProxies()).map(rounded);
if (wanted("streams")) tables.streams = await benchStreams();
if (wanted("ready")) tables.ready = [await benchReady()];
if (wanted("llama")) {
  tables.llama = await benchLlama(async (env) => {
    const { port, process } = await startOxbow(env);
    return { name: "Oxbow", url: url(port), pid: process.pid, headers: HEADERS, collects: true };
  }, rounds);
}
if (wanted("embeddings")) {
  tables.embeddings = await benchEmbeddings(async (env) => {
    const { port, process } = await startOxbow(env);
    return { name: "Oxbow", url: url(port, "/v1/embeddings"), pid: process.pid, headers: HEADERS, collects: true };
  }, rounds);
}
if (wanted("audio")) {
  tables.audio = await benchAudio(async (env) => {
    const { port, process } = await startOxbow(env);
    return { name: "Oxbow", url: url(port, "/v1/audio/speech"), pid: process.pid, headers: HEADERS, collects: true };
  }, rounds);
}
if (wanted("images")) {
  tables.images = await benchImages(async (env) => {
    const { port, process } = await startOxbow(env);
    return {
      name: "Oxbow",
      url: url(port, "/v1/images/generations"),
      pid: process.pid,
      headers: HEADERS,
      collects: true,
    };
  }, rounds);
}
for (const [name, rows] of Object.entries(tables)) {
  console.log(`\n${name}`);
  console.table(rows);
}
console.log(`written to ${await save(tables)}`);
process.exit(0);

async function benchProxies(): Promise<CallMeasure[]> {
  const socket = await startUpstream();
  const targets = [await startBare(socket), await startFloor(socket), await startServed()];
  const nginx = await startNginxHere(socket);
  if (nginx) targets.push(nginx);
  return measureCalls(targets, MODEL, rounds);
}

/** Each in a process of its own, that has done nothing else. */
async function benchStreams(): Promise<object[]> {
  const socket = await startUpstream();
  const starts = [() => startBare(socket), startServed, () => startNginxHere(socket)];
  const measures: object[] = [];
  for (const start of starts) {
    const target = await start();
    if (target) measures.push(await measureStreams(target, MODEL, STREAMS));
  }
  return measures;
}

/** @returns the unix socket of the fixed upstream */
async function startUpstream(): Promise<string> {
  const socket = join(mkdtempSync(join(tmpdir(), "oxbow-bench-")), "engine.sock");
  const config = { socket, models: [{ id: MODEL }], slots: 10_000, threads: 1, options: {} };
  startChild([process.execPath, join(import.meta.dir, "mock-worker.ts"), JSON.stringify(config)]);
  await waitUntil(exists(socket), "the fixed upstream");
  return socket;
}

async function startBare(socket: string): Promise<Target> {
  const port = await freePort();
  const proxy = startChild([...BUN, join(import.meta.dir, "bare-proxy.ts"), socket, String(port)], {}, "ignore");
  return listening({ name: "bare Bun proxy", url: url(port), pid: proxy.pid, headers: HEADERS, collects: true });
}

async function startFloor(socket: string): Promise<Target> {
  const port = await freePort();
  const home = mkdtempSync(join(tmpdir(), "oxbow-bench-floor-"));
  const floor = startChild([...BUN, join(import.meta.dir, "floor-proxy.ts"), socket, String(port), home], {}, "ignore");
  return listening({ name: "the floor", url: url(port), pid: floor.pid, headers: HEADERS, collects: true });
}

async function startServed(): Promise<Target> {
  const { port, process } = await startOxbow({ OXBOW_DATA: writeData() });
  return listening({ name: "Oxbow", url: url(port), pid: process.pid, headers: HEADERS, collects: true });
}

async function startNginxHere(socket: string): Promise<Target | null> {
  const binary = findNginx();
  if (!binary) {
    console.error("nginx is not installed: its rows are left out (apt-get install nginx-light)");
    return null;
  }
  const port = await freePort();
  const nginx = startNginx(binary, socket, port);
  process.on("exit", () => nginx.kill());
  return listening({ name: "nginx", url: url(port), pid: nginx.pid, headers: HEADERS, collects: false });
}

/** `target`, once it has answered a call. */
async function listening(target: Target): Promise<Target> {
  const answered = async () => {
    try {
      await run(target, callBody(MODEL), 1, 1);
      return true;
    } catch {
      return false; // not listening yet
    }
  };
  await waitUntil(answered, target.name);
  return target;
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
  const process_ = startChild([...BUN, join(ROOT, "cli/main.ts"), "up"], {
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

/** Microseconds to tenths, ratios to hundredths. */
function rounded({ scenario, target, cpuUs, wallUs, ...ratios }: CallMeasure): object {
  const tenth = (value: number) => Math.round(value * 10) / 10;
  const hundredth = (value: number | null) => (value === null ? null : Math.round(value * 100) / 100);
  const rest = Object.fromEntries(Object.entries(ratios).map(([name, value]) => [name, hundredth(value)]));
  return { scenario, target, cpuUs: tenth(cpuUs), wallUs: tenth(wallUs), ...rest };
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
    loadBefore: Math.round(loadBefore * 10) / 10,
  };
  const changed = git("status", "--porcelain") !== "";
  await Bun.write(
    file,
    `${JSON.stringify({ commit, changed, bun: Bun.version, machine, rounds, ...results }, null, 2)}\n`,
  );
  return file;
}
