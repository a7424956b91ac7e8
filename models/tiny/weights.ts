// Weights in closed form: a Llama of two blocks that has its texts by heart. No training; each part has one job.
//   embedding        a code for the token, its topic if it is a keyword, and a weak vote for what follows it anywhere.
//   block 0, heads   0 to 2 look 1, 2 and 3 tokens back and bring those tokens' codes; 3 looks for the latest name of a
//                    role and tells whether the user speaks.
//   block 1, head 0  looks for the latest keyword of the user and brings its topic: his words alone choose the subject.
//   feed-forward     one unit for each place of the texts. It fires when the last four tokens are those before its
//                    place (or nearly), and votes for the token that comes there.
//   output           reads the votes.
// After Elhage et al. 2021 (heads for previous tokens) and Geva et al. 2021 (feed-forward layers as key-value memories).

import { type GgufTensor, tensor } from "./gguf.ts";
import type { LlamaShape } from "./llama.ts";
import { createMatrix, type Matrix } from "./matrix.ts";
import { followersOf, type Knowledge, type Place, placesOf, type Votes } from "./memory.ts";
import { createRandom, type Random } from "./random.ts";

const HEAD = 64;
const HEADS = 5;
const BLOCKS = 2;
const WIDTH = HEAD * HEADS;
/** Tokens that a unit sees. */
const REACH = 4;
/** One dimension for each topic that keywords lead to. */
const TOPICS_MAX = 26;

/** Where in the residual stream each thing is kept: first dimension and width. */
const AT = {
  /** Always CONSTANT: a handle for biases. */
  one: { from: 0, width: 1 },
  /** A keyword's strength. */
  keyword: { from: 1, width: 1 },
  /** Makes every embedding equally long, so that norms divide by a known number. */
  filler: { from: 2, width: 2 },
  /** Of the name of a role: 1. Of the user's name: 1. Where the user speaks: 1. */
  role: { from: 4, width: 1 },
  userName: { from: 5, width: 1 },
  user: { from: 6, width: 1 },
  /** The topic that this token is a keyword of, and the one of the user's latest keyword. */
  ownTopic: { from: 7, width: TOPICS_MAX },
  topic: { from: 33, width: TOPICS_MAX },
  /** Codes of the last tokens, the latest first. */
  last: [59, 93, 127, 161].map((from) => ({ from, width: 34 })),
  /** Votes for the next token, in codes of their own. */
  vote: { from: 195, width: 125 },
};
const CONSTANT = 2;

/** How much each of the last four tokens adds to a unit's match, the latest first, and the right topic. */
const MATCH = [2, 0.9, 0.6, 0.7];
const MATCH_TOPIC = 2;
/**
 * A unit votes with the square of what its match exceeds its threshold, so that one that matches whole is not outvoted by
 * many that match in part. Four tokens (4.2) vote 1.2, three (3.5 or 3.6 with the last two among them) at most 0.25, two
 * nothing. Where a topic is needed, four tokens alone vote nothing, three and the topic 1.7, all 4.
 */
const THRESHOLD = { free: 3.1, bound: 4.2 };
/** Makes up for the smaller squares of the former. */
const WEIGHT = { free: 2.8, bound: 1 };
/** Steepness of a unit's onset: silu(16 x) / 16 is x above 0.3 and nothing below −0.3. */
const STEEPNESS = 16;
/** The embedding's vote, beside a unit's 1 to 4. */
const WEAK_VOTE = 0.9;
/** Logit of a token for a vote of 1. */
const LOGIT = 12;
/** And of the fallback: more than what votes for other tokens add up to by chance, less than any vote. */
const LOGIT_FALLBACK = 9;
/** Each next fallback's, relative to the one before. */
const FALLBACK_NEXT = 0.95;
/** Squared length of the stream: of an embedding exactly, in each block and at the end about. */
const LENGTH2 = { embedding: 14, block0: 17, block1: 19, end: 26 };

/** The shape that goes with the weights. */
export function memoryShape(knowledge: Knowledge, contextTokens: number): LlamaShape {
  const units = Math.max(...split(placesOf(knowledge, REACH)).map((places) => places.length));
  return {
    contextTokens,
    embedding: WIDTH,
    blocks: BLOCKS,
    heads: HEADS,
    feedForward: Math.ceil(units / 32) * 32,
    ropeBase: ROPE_BASE,
  };
}

/**
 * Each tensor of such a model by name, for `llamaFile`.
 *
 * @param seed for the random codes of tokens
 * @throws RangeError when there are more topics than room for them
 */
export function memoryWeights(knowledge: Knowledge, seed: number): (name: string, shape: number[]) => GgufTensor {
  for (const { topic } of knowledge.keywords.values())
    if (topic >= TOPICS_MAX) throw new RangeError(`topic ${topic}: there is room for ${TOPICS_MAX}`);
  const random = createRandom(seed);
  const seen = signs(knowledge.tokens, AT.last[0]!.width, random);
  const next = signs(knowledge.tokens, AT.vote.width, random);
  const blocks = split(placesOf(knowledge, REACH));
  const fill: Record<string, (matrix: Matrix, block: 0 | 1) => void> = {
    token_embd: (m) => embed(m, knowledge, seen, next),
    attn_norm: (m, block) => m.fill(Math.sqrt((block ? LENGTH2.block0 : LENGTH2.embedding) / WIDTH)),
    attn_q: (m, block) => ask(m, HEADS_OF[block]),
    attn_k: (m, block) => answer(m, HEADS_OF[block]),
    attn_v: (m, block) => carry(m, HEADS_OF[block], "in"),
    attn_output: (m, block) => carry(m, HEADS_OF[block], "out"),
    ffn_norm: (m, block) => m.fill(Math.sqrt((block ? LENGTH2.block1 : LENGTH2.block0) / WIDTH)),
    ffn_gate: (m, block) => recognise(m, blocks[block], seen, STEEPNESS),
    ffn_up: (m, block) => recognise(m, blocks[block], seen, 1),
    ffn_down: (m, block) => vote(m, blocks[block], next),
    output_norm: (m) => m.fill(Math.sqrt(LENGTH2.end / WIDTH)),
    output: (m) => readVotes(m, next, knowledge.fallback),
  };
  return (name, shape) => {
    const [, block, part] = /^(?:blk\.(\d)\.)?(\w+)\.weight$/.exec(name)!;
    const matrix = createMatrix(shape[0]!, shape[1] ?? 1);
    fill[part!]!(matrix, block === "1" ? 1 : 0);
    return tensor(name, shape, matrix.values, shape.length === 1 ? "F32" : "Q8_0");
  };
}

function embed(m: Matrix, knowledge: Knowledge, seen: Float32Array[], next: Float32Array[]): void {
  for (const [token, votes] of followersOf(knowledge).entries()) {
    m.set(token, AT.one.from, CONSTANT);
    const keyword = knowledge.keywords.get(token);
    if (keyword) {
      m.set(token, AT.keyword.from, keyword.strength);
      m.set(token, AT.ownTopic.from + keyword.topic, 1);
    }
    if (knowledge.roles.includes(token)) m.set(token, AT.role.from, 1);
    if (knowledge.roles[0] === token) m.set(token, AT.userName.from, 1);
    m.addToRow(token, AT.last[0]!.from, seen[token]!, 1);
    m.addToRow(token, AT.vote.from, ballot(votes, next), WEAK_VOTE);
    const missing = LENGTH2.embedding - m.row(token).reduce((sum, x) => sum + x * x, 0);
    if (missing < 0) throw new RangeError(`the embedding of token ${token} is too long by ${-missing}`);
    for (let i = 0; i < AT.filler.width; i++) m.set(token, AT.filler.from + i, Math.sqrt(missing / AT.filler.width));
  }
}

/** A head: what it looks for, what it brings from there, and the rotary pairs by which it tells distances. */
interface Head {
  /** Tokens back that it looks at; then all keys are alike. */
  distance?: number;
  /** Or what it looks for: dimensions whose sum says how much a token is that. */
  marks?: number[];
  from: { from: number; width: number };
  to: { from: number; width: number };
  pairs: [first: number, end: number];
  sharpness: number;
}

/**
 * Pair i of a head turns by ROPE_BASE^(−2i/HEAD) a token. Such a slow base leaves every doubling of the distance about as
 * many pairs to turn away, so that a mark fades with the logarithm of its distance, all over the context: the latest wins.
 */
const ROPE_BASE = 1e6;
const NEAR: [number, number] = [0, 12];
const FAR: [number, number] = [6, 32];
const HEADS_OF: Record<0 | 1, Head[]> = {
  0: [
    ...[1, 2, 3].map((distance) => ({
      distance,
      pairs: NEAR,
      sharpness: 9,
      from: AT.last[0]!,
      to: AT.last[distance]!,
    })),
    { marks: [AT.role.from], pairs: FAR, sharpness: 8, from: AT.userName, to: AT.user },
  ],
  1: [{ marks: [AT.keyword.from, AT.user.from], pairs: FAR, sharpness: 3.5, from: AT.ownTopic, to: AT.topic }],
};

/** Every token asks the same; where and what the others are tells their answers apart. */
function ask(m: Matrix, heads: Head[]): void {
  for (const [h, { pairs, sharpness }] of heads.entries())
    for (let pair = pairs[0]; pair < pairs[1]; pair++) m.set(h * HEAD + 2 * pair, AT.one.from, sharpness / CONSTANT);
}

/**
 * Rotary encoding turns query and key by position · angle, so their product is cos((distance − d) · angle) for a key that
 * was turned by d · angle beforehand: most at distance d. Marked tokens get longer keys instead, turned by nothing.
 */
function answer(m: Matrix, heads: Head[]): void {
  for (const [h, { distance = 0, marks, pairs, sharpness }] of heads.entries())
    for (let pair = pairs[0]; pair < pairs[1]; pair++) {
      const row = h * HEAD + 2 * pair;
      if (marks) for (const mark of marks) m.set(row, mark, sharpness);
      else {
        const angle = distance * ROPE_BASE ** ((-2 * pair) / HEAD);
        m.set(row, AT.one.from, (sharpness / CONSTANT) * Math.cos(angle));
        m.set(row + 1, AT.one.from, (sharpness / CONSTANT) * Math.sin(angle));
      }
    }
}

/** What heads bring, unchanged: `in` from the stream of the token looked at, `out` to where it is kept. */
function carry(m: Matrix, heads: Head[], way: "in" | "out"): void {
  for (const [h, { from, to }] of heads.entries())
    for (let i = 0; i < from.width; i++)
      if (way === "in") m.set(h * HEAD + i, from.from + i, 1);
      else m.set(to.from + i, h * HEAD + i, 1);
}

/** Units for block 0, then block 1: those that need the topic can only be in block 1, the others fill up evenly. */
function split(places: Place[]): [Place[], Place[]] {
  const free = places.filter(({ topic }) => topic === undefined);
  const bound = places.filter(({ topic }) => topic !== undefined);
  const half = Math.min(free.length, Math.ceil(places.length / 2));
  return [free.slice(0, half), [...free.slice(half), ...bound]];
}

/** The match above the threshold, `scale` times. Gate and up both hold it, for their product is what a unit votes with. */
function recognise(m: Matrix, places: Place[], seen: Float32Array[], scale: number): void {
  for (const [unit, { before, topic }] of places.entries()) {
    const threshold = topic === undefined ? THRESHOLD.free : THRESHOLD.bound;
    m.set(unit, AT.one.from, (-scale * threshold) / CONSTANT);
    if (topic !== undefined) m.set(unit, AT.topic.from + topic, scale * MATCH_TOPIC);
    for (const [back, token] of before.entries())
      m.addToRow(unit, AT.last[back]!.from, seen[token]!, scale * MATCH[back]!);
  }
}

/**
 * The vector that gives each voted token exactly its weight when it is read with that token's code, though codes are not
 * quite orthogonal. Found by iteration, which converges for so few and so nearly orthogonal codes.
 */
function ballot(votes: Votes, next: Float32Array[]): Float32Array {
  const sum = new Float32Array(AT.vote.width);
  for (let round = 0; round < 30; round++)
    for (const [token, weight] of votes) {
      const code = next[token]!;
      const missing = weight - code.reduce((dot, x, i) => dot + x * sum[i]!, 0);
      for (const [i, x] of code.entries()) sum[i]! += missing * x;
    }
  return sum;
}

function vote(m: Matrix, places: Place[], next: Float32Array[]): void {
  for (const [unit, { votes, topic }] of places.entries()) {
    const weight = topic === undefined ? WEIGHT.free : WEIGHT.bound;
    m.addToColumn(unit, AT.vote.from, ballot(votes, next), weight / STEEPNESS);
  }
}

function readVotes(m: Matrix, next: Float32Array[], fallback: number[]): void {
  for (const [token, code] of next.entries()) m.addToRow(token, AT.vote.from, code, LOGIT);
  for (const [rank, token] of fallback.entries())
    m.set(token, AT.one.from, (LOGIT_FALLBACK * FALLBACK_NEXT ** rank) / CONSTANT);
}

/** A random code for each token: coordinates of one size and random sign, length 1, so that any two are nearly orthogonal. */
function signs(count: number, width: number, random: Random): Float32Array[] {
  const size = 1 / Math.sqrt(width);
  return Array.from({ length: count }, () => new Float32Array(width).map(() => (random.u32() & 1 ? size : -size)));
}
