// The same overload as real HTTP: accounts on plans of their own, through the gateway, to the simulator. Calls take an eighth
// of the time of those on the virtual clock, and callers wait an eighth as long, so that a minute tells as much as eight.

import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "../server/config.ts";
import { writeData } from "./data.ts";
import { answers, freePort, startChild, waitUntil } from "./processes.ts";
import { type Account, createRandom, exponential, type GroupResult, mixedLoad, resultOf } from "./queue-simulation.ts";

const CLI = join(import.meta.dir, "../cli/main.ts");
const ADMIN_KEY = "benchmark-key-that-is-no-secret";
const MODEL = "bench";
/** The plan that leads to a class, each freed of its limits so that only the queue decides. */
const PLANS: Record<string, string> = { highest: "premium", high: "pro", best_effort: "free" };
const NO_LIMITS = ["requestsPerDay=none", "requestsPerMinute=none", "concurrencyMax=none"];

export interface HttpOptions {
  slots: number;
  serviceMs: number;
  ms: number;
  warmUpMs: number;
  /** A multiple of what the slots can do. */
  load: number;
}

interface Outcome {
  served: boolean;
  refused: boolean;
  waitedMs: number;
}

export async function benchQueueHttp(options: HttpOptions): Promise<GroupResult[]> {
  const { slots, serviceMs, ms, warmUpMs, load } = options;
  const home = mkdtempSync(join(tmpdir(), "oxbow-bench-home-"));
  const data = writeData(enginesWith(slots));
  writeFileSync(join(data, "queue.yaml"), JSON.stringify({ classes: classesAt(serviceMs / SERVICE_MS) }));
  const env = { OXBOW_HOME: home, OXBOW_DATA: data, OXBOW_BOOTSTRAP_KEY: ADMIN_KEY, OXBOW_LOG_LEVEL: "fatal" };
  const port = await freePort();
  const server = startChild([process.execPath, CLI, "up"], { ...env, PORT: String(port) });
  process.on("exit", () => server.kill());
  const baseUrl = `http://127.0.0.1:${port}`;
  await waitUntil(answers(`${baseUrl}/ready`), "Oxbow");

  const accounts = mixedLoad((load * slots * 1_000) / serviceMs);
  const keys = new Map<string, string>();
  for (const account of accounts) keys.set(account.id, await makeKey(account, env));
  const random = createRandom(1);
  const calls: { group: string; outcome: Promise<Outcome> }[] = [];
  const startMs = performance.now();

  /** Sends calls at random moments, whatever became of those before: callers do not wait for each other. */
  async function send(account: Account): Promise<void> {
    for (let dueMs = startMs; ; ) {
      dueMs += exponential(random, 1_000 / account.rate);
      if (dueMs > startMs + warmUpMs + ms) return;
      await Bun.sleep(Math.max(0, dueMs - performance.now()));
      const outcome = call(baseUrl, keys.get(account.id)!, exponential(random, serviceMs));
      if (dueMs > startMs + warmUpMs) calls.push({ group: account.group, outcome });
    }
  }

  await Promise.all(accounts.map(send));
  const ended = await Promise.all(calls.map(async ({ group, outcome }) => ({ group, ...(await outcome) })));
  server.kill("SIGTERM");
  await server.exited;
  return [...new Set(accounts.map(({ group }) => group))].map((group) => {
    const outcomes = ended.filter((each) => each.group === group);
    const waits = outcomes.flatMap(({ served, waitedMs }) => (served ? [waitedMs] : []));
    const refused = outcomes.filter((each) => each.refused).length;
    const expired = outcomes.length - waits.length - refused;
    return resultOf(group, { came: outcomes.length, refused, expired, waits });
  });
}

/** What a call takes on the virtual clock, which the patience of data/queue.yaml is made for. */
const SERVICE_MS = 4_000;

function classesAt(scale: number) {
  const rows = loadConfig({ env: {} }).queue.map(({ id, ...row }) => {
    return [id, { ...row, waitMsMax: Math.round(row.waitMsMax * scale) }] as const;
  });
  return Object.fromEntries(rows);
}

function enginesWith(slots: number): string {
  const kind = { worker: "workers/simulator/main.ts", features: [], simulated: true };
  const engine = { kind: "simulator", models: [{ id: MODEL }], slots };
  return JSON.stringify({ kinds: { simulator: kind }, engines: { bench: engine } });
}

async function makeKey({ id, priority }: Account, env: Record<string, string>): Promise<string> {
  await command(["accounts", "create", id, "--plan", PLANS[priority]!], env);
  await command(["accounts", "override", id, ...NO_LIMITS], env);
  const made = await command(["keys", "create", "--account", id, "--json"], env);
  return (JSON.parse(made) as { key: string }).key;
}

async function command(args: string[], env: Record<string, string>): Promise<string> {
  const child = Bun.spawn([process.execPath, CLI, ...args], { env: { ...process.env, ...env }, stderr: "pipe" });
  const [out, problem] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  if ((await child.exited) !== 0) throw new Error(`oxbow ${args.join(" ")}: ${problem}`);
  return out;
}

/** One call that holds its slot for `serviceMs`. What is left of its time it has waited, or been on the way. */
async function call(baseUrl: string, key: string, serviceMs: number): Promise<Outcome> {
  const begin = performance.now();
  const response = await fetch(`${baseUrl}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({
      model: MODEL,
      messages: [{ role: "user", content: "Hello" }],
      x_simulate: { ttftMs: Math.round(serviceMs), tokens: 1 },
    }),
  });
  const answer = (await response.json()) as { error?: { code: string; message: string } };
  const waitedMs = Math.max(0, performance.now() - begin - serviceMs);
  const code = answer.error?.code;
  if (code !== undefined && code !== "server_is_overloaded" && code !== "queue_timeout") {
    throw new Error(`${response.status} ${answer.error!.message}`);
  }
  return { served: response.ok, refused: code === "server_is_overloaded", waitedMs };
}
