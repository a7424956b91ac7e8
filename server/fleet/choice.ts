// Which of several engines a call goes to: the one that most likely remembers the beginning of its prompt, as long as that
// one has not much more to do than its share. Rendezvous hashing (Thaler and Ravishankar, 1998), weighted, under a bound on
// the load (Mirrokni, Thorup and Zadimoghaddam, "Consistent hashing with bounded loads", 2018). Knows numbers only.

export interface Candidate {
  readonly id: string;
  /** Its share beside the others, above 0. */
  readonly weight: number;
  /** Calls it works on. */
  readonly load: number;
}

/**
 * Decides in this order:
 *  1. only those count whose load, with this call, stays within `bound` times their share of the whole; one always does;
 *  2. with `affinity`, of these the first in the order that the affinity gives them: it stays the same for the same text,
 *     and when an engine leaves or comes, only the calls move that were or will be its own;
 *  3. without, of these the one that has the least to do for its weight, equal ones by `turn`.
 *
 * @param affinity calls with the same text belong together; null: this one belongs nowhere
 * @param bound at least 1
 * @param turn any number that differs from call to call
 * @returns null when there is no candidate
 */
export function choose<C extends Candidate>(
  candidates: readonly C[],
  affinity: string | null,
  bound: number,
  turn: number,
): C | null {
  if (candidates.length < 2) return candidates[0] ?? null;
  let total = 1;
  let weights = 0;
  for (const { load, weight } of candidates) {
    total += load;
    weights += weight;
  }
  let best: C | null = null;
  let bestScore = Number.NEGATIVE_INFINITY;
  let bestRank = Number.NEGATIVE_INFINITY;
  const seed = Bun.hash(affinity ?? String(turn));
  for (const candidate of candidates) {
    const { id, weight, load } = candidate;
    if (load + 1 > Math.ceil(((bound * total * weight) / weights) * ROUNDING)) continue;
    const score = affinity === null ? -(load + 1) / weight : 0;
    const rank = rankOf(id, weight, seed);
    if (score > bestScore || (score === bestScore && rank > bestRank)) {
      best = candidate;
      bestScore = score;
      bestRank = rank;
    }
  }
  return best;
}

/** A product that should be whole may end a hair above, and its ceiling a whole call above. */
const ROUNDING = 1 - 1e-12;

/** Higher goes first. An engine of twice the weight is first for twice as many texts. */
function rankOf(id: string, weight: number, seed: number | bigint): number {
  const hash = Bun.hash.wyhash(id, BigInt(seed));
  // 53 bits, in the middle of their interval: neither 0 nor 1.
  const chance = (Number(hash >> 11n) + 0.5) / 2 ** 53;
  return weight / -Math.log(chance);
}
