// A mirror is there for the operator alone: whatever the second engine does, callers get the same bytes, and the ledger says
// the same.

import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { openUsage } from "../server/ledger/ledger.ts";
import { dataWith, type EngineTable, simulatorAlone } from "./data.ts";
import { eventually, KEY, ROOT, startServer } from "./harness.ts";
import { HELLO, TWO_CITIES, WEATHER } from "./suite.ts";

setDefaultTimeout(120_000);
const ASKED = "llama-3.3-70b";
const SECOND = "qwen-3-32b";
const folders: { remove: () => void }[] = [];
afterAll(() => {
  for (const folder of folders) folder.remove();
});

/** @param mode of the second engine; null: it is the simulator, as the first */
function dataFor(mode: string | null, mirrors: object): string {
  const data = dataWith((table: EngineTable) => {
    simulatorAlone(table);
    if (mode === null) return;
    table.kinds.hostile = { ...table.kinds.simulator, worker: "test/hostile-worker.ts", simulated: false };
    table.engines.hostile = { kind: "hostile", models: [{ id: SECOND }], slots: 4, threads: 1, options: { mode } };
  });
  writeFileSync(join(data.folder, "traffic.yaml"), stringify({ mirrors }));
  folders.push(data);
  return data.folder;
}

const CALLS: object[] = [
  ...Array.from({ length: 6 }, (_, seed) => ({ messages: HELLO, seed, stream: seed % 2 === 0 })),
  { messages: TWO_CITIES, tools: [WEATHER], seed: 1 },
  { messages: HELLO, stream: true, seed: 2, n: 2, stream_options: { include_usage: true } },
  { messages: HELLO, stream: true, seed: 3, x_simulate: { fault: { kind: "interrupt", afterTokens: 3 } } },
  { messages: HELLO, temperature: 9 },
  { messages: HELLO, seed: 4, x_simulate: { fault: { kind: "error", error: "engine_failed" } } },
];

interface Run {
  answers: string[];
  ledger: unknown[];
  logs: string;
  metrics: string;
  report: MirrorReport[];
}

interface MirrorReport {
  calls: number;
  same: number;
  different: number;
  onlySecondFailed: number;
  codes: Record<string, number>;
}

/** All calls, one after the other, on a server of their own; and what it left behind. */
async function run(dataDir: string, mirrored: (metrics: string) => boolean): Promise<Run> {
  const server = await startServer({ simulate: true, env: { OXBOW_DATA: dataDir } });
  const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };
  const scrape = async () => (await fetch(`http://127.0.0.1:${server.port}/metrics`, { headers })).text();
  try {
    const answers: string[] = [];
    for (const fields of CALLS) {
      const answer = await fetch(`${server.baseUrl}/chat/completions`, {
        method: "POST",
        headers,
        body: JSON.stringify({ model: ASKED, ...fields }),
      });
      answers.push(`${answer.status} ${withoutNames(await answer.text())}`);
    }
    server.assertTraffic();
    const metrics = await eventually(async () => {
      const text = await scrape();
      return mirrored(text) ? text : null;
    }, "the mirror has done what it does");
    // Ends with a mirror that hangs, too.
    server.process.kill("SIGTERM");
    expect(await server.exited).toBe(0);
    const usage = openUsage(server.home)!;
    const ledger = usage.rows({}, { limit: 100 })!.rows.map(({ model, outcome, units, tokensIn, tokensOut, kind }) => ({
      model,
      outcome,
      units,
      tokensIn,
      tokensOut,
      kind,
    }));
    usage.close();
    return { answers, ledger, metrics, logs: server.logs(), report: await reportOf(server.home) };
  } finally {
    await server.stop();
  }
}

/** Ids and times differ from run to run. */
function withoutNames(text: string): string {
  return text.replaceAll(/(chatcmpl-|call_|req_)\w+/g, "$1").replaceAll(/"created":\d+/g, '"created":0');
}

async function reportOf(home: string): Promise<MirrorReport[]> {
  const child = Bun.spawn([process.execPath, join(ROOT, "cli/main.ts"), "mirror", "report", "--home", home, "--json"], {
    stdout: "pipe",
    stderr: "pipe",
  });
  return JSON.parse(await new Response(child.stdout).text()) as MirrorReport[];
}

const count = (metrics: string, how: string) =>
  Number(new RegExp(`^oxbow_mirrored_total\\{model="${ASKED}",how="${how}"\\} (\\d+)$`, "m").exec(metrics)?.[1] ?? 0);

let undisturbed: Run;
test("without a mirror nothing is sent a second time", async () => {
  undisturbed = await run(dataFor(null, {}), () => true);
  expect(undisturbed.report).toEqual([]);
  // What never began is not in the ledger.
  expect(undisturbed.ledger.length).toBe(CALLS.length - 1);
});

test("a mirror to the same engine compares every answer that began, and finds them the same", async () => {
  const dataDir = dataFor(null, { [ASKED]: { share: 1, to: { engine: "simulator" } } });
  const done = await run(dataDir, (metrics) => count(metrics, "compared") === 9);
  expect(done.answers).toEqual(undisturbed.answers);
  expect(done.ledger).toEqual(undisturbed.ledger);
  expect(done.report).toMatchObject([{ calls: 9, same: 8, different: 0 }]);
});

test.each(["stall", "crash", "flood", "garbage"])(
  "a second engine that does %s changes nothing for callers",
  async (mode) => {
    const dataDir = dataFor(mode, { [ASKED]: { share: 1, to: { model: SECOND, engine: "hostile" }, callsMax: 4 } });
    const chosen = (metrics: string) => count(metrics, "compared") + count(metrics, "dropped");
    const done = await run(dataDir, (metrics) => (mode === "stall" ? true : chosen(metrics) >= 4));
    expect(done.answers).toEqual(undisturbed.answers);
    expect(done.ledger).toEqual(undisturbed.ledger);
    const [report] = done.report;
    if (mode !== "stall") expect(report!.onlySecondFailed).toBeGreaterThan(0);
    if (report) expect([report.same, report.different]).toEqual([0, 0]);
  },
);
