// What a remote engine says about itself when it is asked: whether it is well, what it serves, how loaded it is, and
// whether it understands priorities. Asks; what follows from the answers is the fleet's affair.

import { NotJson, readAll, readJson } from "@oxbow/contract";
import type { RemoteKind } from "../config.ts";
import { type Engine, EngineUnreachable } from "./engine.ts";
import { type Metrics, readMetrics } from "./metrics.ts";

export interface Found {
  healthy: boolean;
  /** Why it is not, in a sentence that names no address. */
  problem: string | null;
  /** Names as its server knows them. */
  models: string[];
  version: string | null;
  /** Whether its load can be read. */
  metrics: boolean;
  prioritySupported: boolean;
}

/** Work on an engine, by its own count. */
export interface Load {
  running: number;
  waiting: number;
  /** Share of the cache that is in use, 0 to 1; null where nobody says. */
  kvUsage: number | null;
  /** A count that grows while it works; null where nobody says. */
  work: number | null;
}

/** What an engine's answer about itself may weigh. */
const ANSWER_BYTES_MAX = 4 * 1024 * 1024;

/**
 * Asks for everything once. Costs one token on a kind whose understanding of priorities only a call can tell. The engine
 * remembers what was found. Never throws: an engine that cannot be asked is not healthy.
 *
 * @param wanted our ids of the models that it is here for: the call is for one of these where its server has it
 */
export async function probe(engine: Engine, signal: AbortSignal, wanted: readonly string[] = []): Promise<Found> {
  const { remote } = engine;
  const [health, list, version, load] = await Promise.all([
    ask(engine, remote?.health ?? "/health", signal, (answer) => void answer.body?.cancel()),
    ask(engine, "/v1/models", signal, (answer) => modelsIn(answer, remote?.impliedTag)),
    versionOf(engine, remote, signal),
    readLoad(engine, signal),
  ]);
  const problem = health.problem ?? list.problem;
  const models = list.found ?? [];
  const asks = problem === null && (await understandsPriority(engine, modelFor(engine, wanted, models), signal));
  engine.learn({ prioritySupported: asks });
  return { healthy: problem === null, problem, models, version, metrics: load !== null, prioritySupported: asks };
}

/** What its server says at a path, or why it says nothing that could be used. */
async function ask<T>(
  engine: Engine,
  path: string,
  signal: AbortSignal,
  read: (answer: Response) => T | Promise<T>,
): Promise<{ found: T | null; problem: string | null }> {
  const fail = (problem: string) => ({ found: null, problem });
  try {
    const answer = await engine.ask("GET", path, signal);
    if (answer.ok) return { found: await read(answer), problem: null };
    void answer.body?.cancel();
    const hint = answer.status === 401 || answer.status === 403 ? " Is its key right, and named (`apiKeyEnv`)?" : "";
    return fail(`Its ${path} answered with status ${answer.status}.${hint}`);
  } catch (error) {
    if (signal.aborted) return fail(`Its ${path} did not answer in time.`);
    if (error instanceof EngineUnreachable) return fail(`It does not answer: ${sentence(error.cause)}`);
    if (error instanceof NotJson) return fail(`Its ${path} answered with ${error.came} instead of JSON.`);
    return fail(`Its ${path} cannot be used: ${sentence(error)}`);
  }
}

/** The system's own word where there is one. */
function sentence(cause: unknown): string {
  const { code } = (cause ?? {}) as { code?: unknown };
  if (typeof code === "string" && /^E[A-Z]+$/.test(code)) return `${code}.`;
  return `${(cause instanceof Error ? cause.message : String(cause)).replace(/\.$/, "")}.`;
}

/** What it works on at this moment, by its own metrics. Null: it has none, or did not say. */
export async function readLoad(engine: Engine, signal: AbortSignal): Promise<Load | null> {
  const rule = engine.remote?.metrics;
  if (!rule) return null;
  const text = await textOf(engine, rule.path, signal);
  if (text === null) return null;
  const metrics = readMetrics(text);
  const running = first(metrics, rule.running, "sum");
  if (running === null) return null;
  const waiting = first(metrics, rule.waiting ?? [], "sum") ?? 0;
  const work = first(metrics, rule.work ?? [], "sum");
  return { running, waiting, kvUsage: first(metrics, rule.kvUsage ?? [], "max"), work };
}

/** One server may have several workers behind it, each with its labels: their work adds up, the fullest cache counts. */
function first(metrics: Metrics, names: readonly string[], over: "sum" | "max"): number | null {
  for (const name of names) {
    const values = metrics.get(name);
    if (values) return over === "sum" ? values.reduce((sum, value) => sum + value, 0) : Math.max(...values);
  }
  return null;
}

/** Frees the memory of its weights. False: its kind cannot, or it refused. Calls that run are cut: drain it first. */
export function sleep(engine: Engine, signal: AbortSignal): Promise<boolean> {
  return post(engine, engine.remote?.sleep?.down, signal);
}

/** Resolves when its weights are back. False: its kind cannot, or it refused. */
export function wake(engine: Engine, signal: AbortSignal): Promise<boolean> {
  return post(engine, engine.remote?.sleep?.up, signal);
}

/** Null: its kind cannot sleep, or it did not say. */
export async function isAsleep(engine: Engine, signal: AbortSignal): Promise<boolean | null> {
  const rule = engine.remote?.sleep;
  if (!rule) return null;
  const asleep = fieldOf(await textOf(engine, rule.state, signal), rule.field);
  return typeof asleep === "boolean" ? asleep : null;
}

async function post(engine: Engine, path: string | undefined, signal: AbortSignal): Promise<boolean> {
  if (path === undefined) return false;
  const answer = await engine.ask("POST", path, signal).catch(() => null);
  void answer?.body?.cancel();
  return answer?.ok ?? false;
}

/** @throws Error for what is no list of models; as `readJson` */
async function modelsIn(answer: Response, tag: string | undefined): Promise<string[]> {
  const { data } = ((await readJson(answer, ANSWER_BYTES_MAX)) ?? {}) as { data?: unknown };
  if (!Array.isArray(data)) throw new Error("what came is no list of models");
  return data.flatMap((model: { id?: unknown } | null) => {
    if (typeof model?.id !== "string") return [];
    return tag !== undefined && model.id.endsWith(tag) ? [model.id.slice(0, -tag.length), model.id] : [model.id];
  });
}

async function versionOf(engine: Engine, remote: RemoteKind | null, signal: AbortSignal): Promise<string | null> {
  if (!remote?.version) return null;
  const version = fieldOf(await textOf(engine, remote.version.path, signal), remote.version.field);
  return typeof version === "string" && version.length <= VERSION_LENGTH_MAX ? version : null;
}

const VERSION_LENGTH_MAX = 100;

/** Its list may begin with what no call gets an answer from, such as a model that only makes vectors. */
function modelFor(engine: Engine, wanted: readonly string[], models: readonly string[]): string | undefined {
  const names = wanted.map((id) => engine.nameOf(id));
  return names.find((name) => models.includes(name)) ?? models[0];
}

/** A field in a body is refused by some servers that do not schedule by it; a header field bothers nobody. */
async function understandsPriority(engine: Engine, model: string | undefined, signal: AbortSignal): Promise<boolean> {
  const rule = engine.remote?.priority;
  if (!rule) return false;
  if (rule.field === undefined) return true;
  if (model === undefined) return false;
  const body = { model, messages: [{ role: "user", content: "Hello" }], max_tokens: 1, [rule.field]: 1 };
  const bytes = new TextEncoder().encode(JSON.stringify(body));
  const answer = await engine.send("/v1/chat/completions", bytes, { signal }).catch(() => null);
  void answer?.body?.cancel();
  return answer?.ok ?? false;
}

async function textOf(engine: Engine, path: string, signal: AbortSignal): Promise<string | null> {
  const answer = await engine.ask("GET", path, signal).catch(() => null);
  // Half of what it says of itself is nothing to go by.
  if (answer?.ok)
    return readAll(answer, ANSWER_BYTES_MAX).then(
      (bytes) => Buffer.from(bytes).toString(),
      () => null,
    );
  void answer?.body?.cancel();
  return null;
}

/** A field of a JSON object; undefined when the text is none. */
function fieldOf(text: string | null, field: string): unknown {
  try {
    return (JSON.parse(text ?? "") as Record<string, unknown> | null)?.[field];
  } catch {
    return undefined; // not JSON: the server has nothing to say there
  }
}
