// Whether conversations find their prompt where they left it: many of them, turn by turn, through the real gateway to eight
// simulators with a prefix cache, once by affinity and once to whoever has the least to do. `npm run bench:affinity`.

import { dataWith } from "../test/data.ts";
import { KEY, startServer } from "../test/harness.ts";
import { createSimulator } from "../workers/simulator/server.ts";
import { createRandom } from "./queue-simulation.ts";

export interface AffinityOptions {
  engines: number;
  conversations: number;
  turns: number;
  /** Calls at the same time. */
  inFlight: number;
  /** Of one engine's cache. */
  cacheTokens: number;
  seed: number;
  /** Of the gateway. */
  env: Record<string, string>;
}

export interface AffinityResult {
  calls: number;
  /** Of all tokens of prompts, those that an engine knew already: 0 to 1. */
  hits: number;
  /** Calls of the busiest engine over the mean; and the same of the calls it worked on, on average over the time. */
  callsMaxToMean: number;
  loadMaxToMean: number;
}

/** Words of the first turn, and of each further one. */
const OPENING_WORDS = 600;
const TURN_WORDS = 60;
const MODEL = "mistral-7b";
const SLOTS = 64;
/** Pace of an engine: a prompt that is known is there at once. */
const PACE = { ttftMs: 10, promptMsPerToken: 0.05, itlMs: 5 };
const ANSWER_TOKENS = 16;

export async function measureAffinity(options: AffinityOptions): Promise<AffinityResult> {
  const engines = Array.from({ length: options.engines }, () => startEngine(options.cacheTokens));
  const data = dataWith((table) => {
    table.engines = Object.fromEntries(
      engines.map(({ url }, at) => [`e-${at}`, { kind: "vllm", url, models: [{ id: MODEL }], slots: SLOTS }]),
    );
  });
  const server = await startServer({ env: { OXBOW_DATA: data.folder, OXBOW_LOG_LEVEL: "fatal", ...options.env } });
  try {
    for (const engine of engines) engine.reset();
    const calls = await converse(`http://127.0.0.1:${server.port}/v1/chat/completions`, options);
    const counts = await Promise.all(engines.map((engine) => engine.counts()));
    const sum = (of: (count: (typeof counts)[number]) => number) => counts.reduce((total, each) => total + of(each), 0);
    const maxToMean = (of: (count: (typeof counts)[number]) => number) =>
      Math.max(...counts.map(of)) / (sum(of) / counts.length);
    return {
      calls,
      hits: sum(({ hits }) => hits) / sum(({ queries }) => queries),
      callsMaxToMean: maxToMean((each) => each.calls),
      loadMaxToMean: maxToMean(({ busyMs }) => busyMs),
    };
  } finally {
    await server.stop();
    for (const engine of engines) await engine.stop();
    data.remove();
  }
}

/** A simulator in this process, with a count of what it works on. */
function startEngine(cacheTokens: number) {
  const handle = createSimulator({
    socket: "",
    slots: SLOTS,
    threads: 1,
    models: [{ id: MODEL, aliases: [], category: "chat", capabilities: [], contextTokens: 131_072 }],
    options: { dress: "vllm", cacheTokens, ...PACE },
  });
  let busyMs = 0;
  let calls = 0;
  let before = { hits: 0, queries: 0 };
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    async fetch(request) {
      if (request.method !== "POST") return handle(request);
      const from = performance.now();
      const answer = await handle(request);
      busyMs += performance.now() - from;
      calls++;
      return answer;
    },
  });
  async function cache() {
    const text = await (await handle(new Request("http://engine/metrics"))).text();
    const counter = (name: string) => Number(new RegExp(`^vllm:${name}\\{[^}]*\\} (\\S+)$`, "m").exec(text)?.[1]);
    return { hits: counter("prefix_cache_hits_total"), queries: counter("prefix_cache_queries_total") };
  }
  return {
    url: `http://127.0.0.1:${server.port}/v1`,
    /** Forgets what its registration cost. */
    reset: async () => {
      before = await cache();
      busyMs = calls = 0;
    },
    counts: async () => {
      const { hits, queries } = await cache();
      return { hits: hits - before.hits, queries: queries - before.queries, calls, busyMs };
    },
    stop: () => server.stop(true),
  };
}

/** Every conversation takes a turn, in an order that changes, then the next: long enough between two for a cache to forget. */
async function converse(url: string, { conversations, turns, inFlight, seed }: AffinityOptions): Promise<number> {
  const random = createRandom(seed);
  const words = (count: number) =>
    Array.from({ length: count }, () => Math.floor(random() * 1e9).toString(36)).join(" ");
  const histories = Array.from({ length: conversations }, () => [{ role: "user", content: words(OPENING_WORDS) }]);
  let calls = 0;
  for (let turn = 0; turn < turns; turn++) {
    const order = histories.map((history) => ({ history, at: random() })).sort((a, b) => a.at - b.at);
    const callers = Array.from({ length: inFlight }, async () => {
      for (let next = order.pop(); next; next = order.pop()) {
        const { history } = next;
        const answer = await ask(url, history);
        history.push({ role: "assistant", content: answer }, { role: "user", content: words(TURN_WORDS) });
        calls++;
      }
    });
    await Promise.all(callers);
  }
  return calls;
}

async function ask(url: string, messages: object[]): Promise<string> {
  const response = await fetch(url, {
    method: "POST",
    headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
    body: JSON.stringify({ model: MODEL, messages, x_simulate: { tokens: ANSWER_TOKENS } }),
  });
  const body = (await response.json()) as { choices?: { message: { content: string } }[]; error?: { message: string } };
  if (!body.choices) throw new Error(body.error?.message ?? `status ${response.status}`);
  return body.choices[0]!.message.content;
}

/** 1.25 times what the conversations need when each of them stays where it is. */
export function cacheTokensFor({
  engines,
  conversations,
  turns,
}: Omit<AffinityOptions, "cacheTokens" | "seed" | "env" | "inFlight">) {
  // Six letters of base 36 and a space: about three tokens a word.
  const tokens = 3 * (OPENING_WORDS + turns * TURN_WORDS);
  return Math.round((1.25 * conversations * tokens) / engines);
}

export const LEAST_BUSY = { OXBOW_AFFINITY_CHARS_MAX: "0" };

if (import.meta.main) {
  const size = { engines: 8, conversations: 200, turns: 6 };
  const options = { ...size, inFlight: 64, cacheTokens: cacheTokensFor(size), seed: 1 };
  const rows: [string, Record<string, string>][] = [
    ["least to do", LEAST_BUSY],
    ["affinity, bound 1.00", { OXBOW_LOAD_PERCENT_MAX: "100" }],
    ["affinity, bound 1.25", {}],
    ["affinity, bound 1.50", { OXBOW_LOAD_PERCENT_MAX: "150" }],
    ["affinity, no bound", { OXBOW_LOAD_PERCENT_MAX: "1000" }],
  ];
  console.log(
    `${size.engines} engines, ${size.conversations} conversations of ${size.turns} turns, ${options.inFlight} calls at once`,
  );
  console.log("choice                 calls  known tokens  calls max/mean  load max/mean");
  for (const [name, env] of rows) {
    const { calls, hits, callsMaxToMean, loadMaxToMean } = await measureAffinity({ ...options, env });
    const cells = [
      String(calls).padStart(5),
      `${(100 * hits).toFixed(1)} %`.padStart(12),
      callsMaxToMean.toFixed(2).padStart(14),
      loadMaxToMean.toFixed(2).padStart(13),
    ];
    console.log([name.padEnd(21), ...cells].join("  "));
  }
}
