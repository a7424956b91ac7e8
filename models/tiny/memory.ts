// What the built-in model remembers, before it becomes weights: for each place of its texts the tokens before it and a
// vote for the token that comes there.

export interface Passage {
  tokens: number[];
  /** Tokens at the front that are context only: nothing votes for them. */
  given: number;
  /** Index of its topic, or none: then no keyword leads here. */
  topic?: number;
}

export interface Knowledge {
  /** How many tokens the vocabulary has. */
  tokens: number;
  passages: Passage[];
  /** What the prompt ends with when an answer is due. The topic is settled there, for the whole answer. */
  answerStart: number[];
  /** For a token that is a keyword: whose, and how strongly, up to 1. */
  keywords: Map<number, { topic: number; strength: number }>;
  /** Where a passage may end, these come next best: what closes a string when a grammar forbids the text to end. */
  closers: number[];
  /** Voted for after a token that no passage holds. */
  fallback: number[];
}

/** Tokens and their weights, the likeliest first, which has 1. */
export type Votes = [token: number, weight: number][];

export interface Place {
  /** The tokens before it, the latest first; fewer than asked for near the front of a passage. */
  before: number[];
  /** Set where the same tokens stand in passages of other topics too, so that they alone do not tell what follows. */
  topic?: number;
  votes: Votes;
}

/** Each next likely token's weight, relative to the one before. */
const RUNNER_UP = 0.97;
/** A closer's, relative to the passage's end. */
const CLOSER = 0.6;
/** At most this many tokens get a vote from one place. */
const CHOICES = 8;

/** All places, equal ones merged. @param reach how many tokens back a place knows, at least 2 */
export function placesOf({ passages, closers }: Knowledge, reach: number): Place[] {
  const all = passages.flatMap(({ tokens, given, topic }) =>
    tokens.slice(Math.max(given, 2)).map((next, i) => {
      const at = Math.max(given, 2) + i;
      const before = tokens.slice(Math.max(0, at - reach), at).reverse();
      return { before, topic, next, last: at === tokens.length - 1 };
    }),
  );
  const topicsOf = Map.groupBy(all, ({ before }) => before.join());
  const ambiguous = (before: number[]) => new Set(topicsOf.get(before.join())!.map(({ topic }) => topic)).size > 1;
  const groups = Map.groupBy(all, ({ before, topic }) => `${before} ${ambiguous(before) ? topic : ""}`);
  return [...groups.values()].map((group) => {
    const { before, topic } = group[0]!;
    const votes = votesFor(group.map(({ next }) => next));
    if (group.some(({ last }) => last)) votes.push(...closers.map((token) => [token, CLOSER] as [number, number]));
    return { before, votes, ...(topic !== undefined && ambiguous(before) ? { topic } : {}) };
  });
}

/** For each token what follows it anywhere, which is little to go by. */
export function followersOf({ passages, fallback, tokens }: Knowledge): Votes[] {
  const followers = Array.from({ length: tokens }, (): number[] => []);
  for (const passage of passages)
    for (let at = passage.given + 1; at < passage.tokens.length; at++)
      followers[passage.tokens[at - 1]!]!.push(passage.tokens[at]!);
  return followers.map((next) => votesFor(next.length > 0 ? next : fallback));
}

/** The most frequent first, equal ones in the order they came. */
function votesFor(tokens: number[]): Votes {
  const counts = new Map<number, number>();
  for (const token of tokens) counts.set(token, (counts.get(token) ?? 0) + 1);
  const ranked = [...counts].sort((a, b) => b[1] - a[1]).slice(0, CHOICES);
  return ranked.map(([token], rank) => [token, RUNNER_UP ** rank]);
}
