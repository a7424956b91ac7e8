// `oxbow replay`: sends recorded calls again, to any server that speaks the API, and says how the answers compare.

import { existsSync } from "node:fs";
import type { Command } from "commander";
import type { MirrorRow, Recorded } from "../../server/traffic/traffic.ts";
import { baseUrlOf } from "../base-url.ts";
import { printComparison } from "../comparison.ts";
import { CommandError, EXIT } from "../exit.ts";
import { type Env, homeOf } from "../home.ts";
import { printJson, say } from "../output.ts";
import { countOf } from "../values.ts";

interface ReplayOptions {
  url?: string;
  key?: string;
  model?: string;
  parallel: number;
  limit?: number;
  home?: string;
  json?: boolean;
}

const TIMEOUT_MS = 600_000;

export function addReplay(program: Command, env: Env): void {
  program
    .command("replay")
    .argument("[file]", "a recording; without it the home's own")
    .description("send recorded calls again (traffic.yaml), and compare the answers")
    .option("--url <url>", "base URL of the server (OXBOW_BASE_URL, or where `oxbow up` would listen)")
    .option("--key <key>", "API key; the environment (OXBOW_API_KEY) keeps it out of the shell's history")
    .option("--model <model>", "ask this model instead of the recorded one")
    .option("--parallel <count>", "calls at the same time", countOf, 4)
    .option("--limit <count>", "only the newest calls", countOf)
    .option("--home <folder>", "the home whose recording is meant (OXBOW_HOME, ~/.oxbow)")
    .option("--json", "print JSON: the comparison, and each call")
    .action((file: string | undefined, options: ReplayOptions) => replay(file, options, env));
}

async function replay(file: string | undefined, options: ReplayOptions, env: Env): Promise<void> {
  const { mirrorReport } = await import("../../server/traffic/traffic.ts");
  const key = options.key || env.OXBOW_API_KEY;
  if (!key) throw new CommandError("Set OXBOW_API_KEY, or give --key. `oxbow keys create` makes a key.");
  const all = await readCalls(file, options, env);
  const calls = options.limit === undefined ? all : all.slice(-options.limit);
  const target = { baseUrl: await baseUrlOf(options.url, env), key, model: options.model };
  say(`Sending ${calls.length} calls to ${target.baseUrl}.`);
  const rows = await inParallel(calls, options.parallel, (call) => send(call, target));
  const reached = rows.filter(({ b }) => b.status !== 0);
  if (rows.length > 0 && reached.length === 0) {
    throw new CommandError(`No server answers at ${target.baseUrl}.`, EXIT.unreachable);
  }
  const reports = mirrorReport(rows);
  if (options.json) {
    printJson({ reports, calls: rows });
    return;
  }
  printComparison(reports);
}

async function readCalls(file: string | undefined, options: ReplayOptions, env: Env): Promise<Recorded[]> {
  const { readRecording, recordingsIn } = await import("../../server/traffic/traffic.ts");
  const place = file === undefined ? await homeOf(options, env) : "";
  const files = file === undefined ? recordingsIn(place).filter((each) => existsSync(each)) : [file];
  if (files.length === 0) throw new CommandError(`Nothing is recorded in ${place}: see \`record\` in traffic.yaml.`);
  try {
    return files.flatMap(readRecording);
  } catch (cause) {
    throw new CommandError(cause instanceof Error ? cause.message : String(cause));
  }
}

interface Target {
  baseUrl: string;
  key: string;
  model: string | undefined;
}

async function send(call: Recorded, { baseUrl, key, model = call.model }: Target): Promise<MirrorRow> {
  const { compare, readSaid, redactSaid } = await import("../../server/traffic/traffic.ts");
  const startedMs = performance.now();
  let status = 0;
  let code = "no_answer";
  let bytes: Uint8Array = new Uint8Array();
  try {
    const answer = await fetch(baseUrl + call.path.replace(/^\/v1/, ""), {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify({ ...call.body, model }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    status = answer.status;
    bytes = await answer.bytes();
    code = answer.ok ? "" : codeIn(bytes);
  } catch {
    // Told by the status: 0 when nobody answered, and by an answer that is not whole when it broke off.
  }
  const { answer } = call;
  const recorded = { engine: "", status: answer.status, code: answer.code, durationMs: call.durationMs, cut: false };
  const now = { engine: "", status, code, durationMs: performance.now() - startedMs, cut: false };
  const counts = { tokensIn: null, tokensOut: null };
  const compared = compare(
    { ...recorded, ...counts, said: answer },
    { ...now, ...counts, said: redactSaid(readSaid(bytes)) },
  );
  const { path, stream } = call;
  return { at: Date.now(), model: call.model, to: model, path, stream, ...compared };
}

function codeIn(bytes: Uint8Array): string {
  try {
    const { error } = JSON.parse(new TextDecoder().decode(bytes)) as { error?: { code?: unknown; type?: unknown } };
    return String(error?.code ?? error?.type ?? "error");
  } catch {
    return "error";
  }
}

async function inParallel<T, R>(items: readonly T[], count: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const run = async () => {
    for (let at = next++; at < items.length; at = next++) results[at] = await work(items[at]!);
  };
  await Promise.all(Array.from({ length: Math.min(count, items.length) }, run));
  return results;
}
