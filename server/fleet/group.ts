// The engines that serve one model: which of them a call goes to, and what is said of the model as a whole.

import { ApiError, type ModelState } from "@oxbow/contract";
import { choose } from "./choice.ts";
import { leftOut, type Standing } from "./health.ts";
import type { Replica } from "./replica.ts";

/** What a call would like. */
export interface Wish {
  /** Whose it is: some engines are there for some accounts alone. */
  accountId?: string | undefined;
  /** Calls of an account with the same text go to the same engine where that is possible. */
  affinity?: string | undefined;
  /** `engine:ID` or `tag:TAG`: only there, as long as there is such an engine. */
  within?: string | undefined;
  /** Ids of engines that it must not go to. */
  not?: ReadonlySet<string> | undefined;
}

/** How one engine stands among those that a call may go to. */
interface Member {
  replica: Replica;
  standing: Standing;
  there: boolean;
  ejectedAt: number | null;
}

interface Placed {
  replica: Replica;
  /** Gives the slot back. */
  release: () => void;
}

/**
 * Takes a slot of one of `replicas`. Decides in this order:
 *  1. engines that drain, or are there for other accounts, are out of the question;
 *  2. none of the others is warm: refuse;
 *  3. of those that are warm and in good standing, whose slots are not all taken and whose cache is not full: those first
 *     that are there for this account alone; among equals as in choice.ts.
 *
 * @param bound how far above its share one may be loaded, at least 1
 * @param turn any number that differs from call to call
 * @returns null when there is none at the moment
 * @throws ApiError `model_not_ready`, `model_failed` (2)
 */
export function placeIn(
  replicas: readonly Replica[],
  modelId: string,
  wish: Wish,
  bound: number,
  turn: number,
): Placed | null {
  const open = openTo(replicas, wish.accountId);
  const pool = wish.within === undefined ? open : narrowed(open, wish);
  if (pool.length === 1) return placeAlone(pool[0]!, modelId, wish);
  return placeAmong(pool, modelId, wish, bound, turn);
}

/** As `placeAmong`, for the only one there is: nothing is chosen, and it carries what there is. */
function placeAlone(replica: Replica, modelId: string, { not }: Wish): Placed | null {
  if (!isThere(replica)) refuse([replica], modelId);
  const { held, busyUntil } = replica.health.standing();
  if (held || busyUntil > 0 || replica.full() || not?.has(replica.entry.id)) return null;
  const release = replica.slots.take();
  return release && { replica, release };
}

function placeAmong(
  pool: readonly Replica[],
  modelId: string,
  { accountId, affinity, not }: Wish,
  bound: number,
  turn: number,
): Placed | null {
  const members = pool.map(memberOf);
  const warm = members.filter(({ there }) => there);
  if (warm.length === 0) refuse(pool, modelId);
  const out = leftOut(members);
  const usable = warm.filter((each) => !out.has(each));
  const free = usable.filter((each) => hasRoom(each, usable) && !not?.has(each.replica.entry.id));
  const own = free.filter(({ replica }) => isDedicated(replica));
  const candidates = (own.length > 0 ? own : free).map(({ replica, standing }) => ({
    id: replica.entry.id,
    weight: replica.entry.weight * shareOf(standing, usable),
    load: replica.load(),
    replica,
  }));
  const key = affinity === undefined ? null : `${accountId}\n${affinity}`;
  const chosen = choose(candidates, key, bound, turn);
  const release = chosen?.replica.slots.take();
  return chosen && release ? { replica: chosen.replica, release } : null;
}

/**
 * Those that `within` names; all of them when none of those is left, or all of those are gone while another one is there. One
 * that is loaded for the first time, or again because it was cold, is waited for.
 */
function narrowed(pool: readonly Replica[], { within, not }: Wish): readonly Replica[] {
  const isNamed = ({ id, tags }: Replica["entry"]) =>
    within === `engine:${id}` || tags.some((tag) => within === `tag:${tag}`);
  const named = pool.filter(({ entry }) => isNamed(entry) && !not?.has(entry.id));
  if (named.length === 0) return pool;
  return named.every(isGone) && pool.some(isThere) ? pool : named;
}

function isThere({ host }: Replica): boolean {
  return host.state().state === "warm";
}

/** Failed, or lost and not back yet. */
function isGone({ host }: Replica): boolean {
  const state = host.state();
  return state.state === "failed" || (state.state === "loading" && state.reason !== undefined);
}

/** Those that calls of this account may go to. */
export function openTo(replicas: readonly Replica[], accountId: string | undefined): readonly Replica[] {
  return replicas.every(isOpenToAll) ? replicas : openOnlyTo(replicas, accountId);
}

function isOpenToAll({ entry, draining }: Replica): boolean {
  return !draining && entry.accounts === undefined;
}

function openOnlyTo(replicas: readonly Replica[], accountId: string | undefined): Replica[] {
  const open = ({ accounts }: Replica["entry"]) =>
    accounts === undefined || (accountId !== undefined && accounts.includes(accountId));
  return replicas.filter(({ entry, draining }) => !draining && open(entry));
}

/** Names the engines that are there for this account and not for everybody; "": none. */
export function poolOf(replicas: readonly Replica[], accountId: string): string {
  return replicas.every(isOpenToAll) ? "" : namesFor(replicas, accountId);
}

function namesFor(replicas: readonly Replica[], accountId: string): string {
  return replicas.flatMap(({ entry }) => (entry.accounts?.includes(accountId) ? [entry.id] : [])).join(" ");
}

/** Once `openTo` has sorted out those of others. */
function isDedicated({ entry }: Replica): boolean {
  return entry.accounts !== undefined;
}

function memberOf(replica: Replica): Member {
  const standing = replica.health.standing();
  return { replica, standing, there: isThere(replica), ejectedAt: standing.ejectedAt };
}

/** One that comes back gets its slots little by little, so that who waits does not fall on it all at once. */
function hasRoom({ replica, standing }: Member, usable: readonly Member[]): boolean {
  if (standing.held || standing.busyUntil > 0 || replica.full()) return false;
  const slots = Math.max(1, Math.floor(replica.slots.count * shareOf(standing, usable)));
  return replica.slots.taken < slots;
}

/** The only one there is carries what there is. */
function shareOf({ share }: Standing, usable: readonly Member[]): number {
  return usable.length === 1 ? 1 : share;
}

/** @throws ApiError `model_not_ready`, `model_failed` */
function refuse(pool: readonly Replica[], modelId: string): never {
  const coming = pool.filter(({ host }) => host.state().state !== "failed");
  for (const { host } of coming) host.warm();
  if (coming.length === 0) {
    const state = pool[0]?.host.state();
    const why = state?.state === "failed" ? state.reason : "No engine here serves it at the moment.";
    throw new ApiError("model_failed", `The model \`${modelId}\` cannot be served: ${why}`);
  }
  const soonest = coming.reduce((a, b) => (b.host.warmInMs() < a.host.warmInMs() ? b : a)).host;
  const retryAfterMs = soonest.warmInMs();
  const state = soonest.state();
  const progress = state.state === "loading" && state.progress > 0 ? ` (${Math.floor(state.progress * 100)} %)` : "";
  const gone = soonest.engine.remote === null ? "is being restarted" : "cannot be reached";
  const what = state.state === "loading" && state.reason !== undefined ? gone : "is loading";
  const text = `The model \`${modelId}\` ${what}${progress}. Please try again in ${Math.ceil(retryAfterMs / 1000)}s.`;
  throw new ApiError("model_not_ready", text, { retryAfterMs });
}

const BEST_FIRST: readonly ModelState[] = ["warm", "loading", "cold", "failed"];

/** The one that says most about a model: it is as warm as its warmest engine. */
export function bestOf(replicas: readonly Replica[]): Replica {
  const rank = ({ host, draining }: Replica) => BEST_FIRST.indexOf(host.state().state) + (draining ? 0.5 : 0);
  return replicas.reduce((best, each) => (rank(each) < rank(best) ? each : best));
}
