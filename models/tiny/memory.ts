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
  /** The names of roles that stand at the head of a turn, the user's first. */
  roles: number[];
  /** For a token that is a keyword: whose, and how strongly, up to 1. */
  keywords: Map<number, { topic: number; strength: number }>;
  /** Tokens after which anything may come, so that no weak vote is drawn from them alone. */
  breaks: number[];
  /** Next best where a passage ends: what closes a string when a grammar forbids the text to end. */
  closers: number[];
  /** Likeliest where nothing is known, or when a grammar forbids all that is known to follow. */
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
/** A closer's, relative to the end of the passage. */
const CLOSER = 0.6;
/** At most this many tokens get a vote from one place. */
const CHOICES = 5;

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
    if (group.some(({ last }) => last)) votes.push(...closers.map((token): Votes[number] => [token, CLOSER]));
    return { before, votes, ...(topic !== undefined && ambiguous(before) ? { topic } : {}) };
  });
}

/** For each token what follows it anywhere, which is little to go by. */
export function followersOf({ passages, tokens, breaks, closers }: Knowledge): Votes[] {
  const followers = Array.from({ length: tokens }, (): number[] => []);
  for (const passage of passages)
    for (let at = passage.given + 1; at < passage.tokens.length; at++)
      followers[passage.tokens[at - 1]!]!.push(passage.tokens[at]!);
  for (const token of breaks) followers[token] = [];
  const ends = new Set(passages.map((passage) => passage.tokens.at(-1)!));
  return followers.map((next) => {
    const votes = votesFor(next);
    const mayEnd = votes.some(([token]) => ends.has(token));
    return mayEnd ? [...votes, ...closers.map((token): Votes[number] => [token, RUNNER_UP])] : votes;
  });
}

/** The most frequent first, equal ones in the order they came. */
function votesFor(tokens: number[]): Votes {
  const counts = new Map<number, number>();
  for (const token of tokens) counts.set(token, (counts.get(token) ?? 0) + 1);
  const ranked = [...counts.keys()].sort((a, b) => counts.get(b)! - counts.get(a)!).slice(0, CHOICES);
  return ranked.map((token, rank) => [token, RUNNER_UP ** rank]);
}
