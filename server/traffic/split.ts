// Shares the calls for one model out between several, by weight, so that who belongs together stays on one side, and a change
// of the weights moves no more of them than it must: weighted rendezvous hashing (Thaler and Ravishankar, 1998).

import type { TrafficTable } from "../config.ts";

export type Split = TrafficTable["splits"][number];

/** One side of a split. */
export interface SplitSide {
  /** For reports: `qwen-3-32b`, `llama-3.3-70b tag:new`. */
  name: string;
  /** Id of the model that answers. */
  model: string;
  /** `engine:ID` or `tag:TAG`: where; undefined: wherever it is served. */
  within: string | undefined;
}

/**
 * Which side a call is on.
 * @param body as the caller sent it: it may hold what the side goes by
 */
export function sideOf({ model, sticky, targets }: Split, accountId: string, body: Record<string, unknown>): SplitSide {
  const key = keyOf(sticky, accountId, body);
  let best: SplitSide | null = null;
  let bestRank = Number.NEGATIVE_INFINITY;
  for (const target of targets) {
    const side = sideFor(target, model);
    const rank = rankOf(`${model}\n${key}\n${side.name}`, target.weight);
    if (rank > bestRank) {
      best = side;
      bestRank = rank;
    }
  }
  return best!;
}

function sideFor({ model, engine, tag }: Split["targets"][number], asked: string): SplitSide {
  const within = engine !== undefined ? `engine:${engine}` : tag !== undefined ? `tag:${tag}` : undefined;
  const answers = model ?? asked;
  return { name: within === undefined ? answers : `${answers} ${within}`, model: answers, within };
}

/** Users and keys of two accounts have nothing to do with each other, whatever they are called. */
function keyOf(sticky: Split["sticky"], accountId: string, body: Record<string, unknown>): string {
  if (sticky === "account") return accountId;
  const names = sticky === "user" ? USER_FIELDS : ["prompt_cache_key"];
  const value = names.map((name) => body[name]).find((each) => typeof each === "string" && each !== "");
  return value === undefined ? accountId : `${accountId}\n${value}`;
}

/** The field that the API has now, and the older one. */
const USER_FIELDS = ["safety_identifier", "user"];

/** A side of twice the weight is first for twice as many. */
function rankOf(text: string, weight: number): number {
  // 53 bits, in the middle of their interval: neither 0 nor 1.
  const chance = (Number(Bun.hash.wyhash(text) >> 11n) + 0.5) / 2 ** 53;
  return weight / -Math.log(chance);
}
