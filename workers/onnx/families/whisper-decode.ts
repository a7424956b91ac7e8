// From what was heard to tokens: the prompt, the rules of timestamps, greedy or sampled choice, and how sure it was.
// Source: Radford et al. (2022), §2.3 and §4.5, and the decoding that its authors published with the weights.

import type { Tensor } from "onnxruntime-node";
import type { JobContext } from "./family.ts";
import type { Step, WhisperGraphs } from "./whisper-graphs.ts";
import type { WhisperTokens } from "./whisper-tokens.ts";

export interface DecodeAsk {
  /** What was said before, for style and spelling. */
  prompt: readonly number[];
  /** The tokens behind the start: language and task. */
  head: readonly number[];
  timestamps: boolean;
  temperature: number;
}

export interface Decoded {
  /** Without the start and the end. */
  tokens: number[];
  /** Mean logarithm of the probability of each token, the end included. */
  averageLogprob: number;
  noSpeechProbability: number;
  /** It stopped because its context was full. */
  cut: boolean;
}

export async function decodeWindow(
  graphs: WhisperGraphs,
  about: WhisperTokens,
  heard: Tensor,
  ask: DecodeAsk,
  { signal, breathe }: Pick<JobContext, "signal" | "breathe">,
  onToken: (token: number) => void = () => {},
): Promise<Decoded> {
  const start = startOf(about, ask);
  const random = createChance();
  const first = start.indexOf(about.startOfTranscript, ask.prompt.length > 0 ? 1 : 0);
  let step = await graphs.say(start, heard, null);
  const noSpeechProbability = about.noSpeech === null ? 0 : probabilityAt(step, first, about.noSpeech);
  const tokens: number[] = [];
  let sum = 0;
  const room = Math.floor(about.contextTokens / 2);
  for (;;) {
    const scores = step.logits.slice(-step.vocabulary);
    applyRules(scores, tokens, about, ask.timestamps);
    const logprobs = logSoftmax(scores);
    const token = ask.temperature > 0 ? sample(scores, ask.temperature, random) : argmax(scores);
    sum += logprobs[token]!;
    if (token === about.end) break;
    tokens.push(token);
    onToken(token);
    if (tokens.length >= room || start.length + tokens.length >= about.contextTokens) {
      return { tokens, averageLogprob: sum / (tokens.length + 1), noSpeechProbability, cut: true };
    }
    await breathe();
    signal.throwIfAborted();
    step = await graphs.say([token], heard, step.past);
  }
  return { tokens, averageLogprob: sum / (tokens.length + 1), noSpeechProbability, cut: false };
}

/** Code of the language that is most likely spoken. One step of the decoder. */
export async function findLanguage(graphs: WhisperGraphs, about: WhisperTokens, heard: Tensor): Promise<string> {
  const { logits } = await graphs.say([about.startOfTranscript], heard, null);
  let best = "en";
  let most = Number.NEGATIVE_INFINITY;
  for (const [code, id] of Object.entries(about.languages)) {
    if (logits[id]! <= most) continue;
    most = logits[id]!;
    best = code;
  }
  return best;
}

/** What is said for the model before it speaks. The end of an earlier text may fill half of the context. */
function startOf(about: WhisperTokens, { prompt, head, timestamps }: DecodeAsk): number[] {
  const before =
    prompt.length > 0 && about.startOfPrevious !== null
      ? [about.startOfPrevious, ...prompt.slice(-(Math.floor(about.contextTokens / 2) - 1))]
      : [];
  return [...before, about.startOfTranscript, ...head, ...(timestamps ? [] : [about.noTimestamps])];
}

function applyRules(scores: Float32Array, tokens: readonly number[], about: WhisperTokens, timestamps: boolean): void {
  const never = Number.NEGATIVE_INFINITY;
  for (const token of about.suppressed) scores[token] = never;
  if (tokens.length === 0) for (const token of about.suppressedFirst) scores[token] = never;
  const { firstTimestamp, end } = about;
  // Languages, tasks and the like: they are for the prompt.
  scores.fill(never, end + 1, firstTimestamp);
  if (!timestamps) {
    scores.fill(never, firstTimestamp);
    return;
  }
  const isTime = (token: number | undefined) => token !== undefined && token >= firstTimestamp;
  const last = tokens.at(-1);
  if (tokens.length === 0) {
    // It begins with a time, and not a late one.
    scores.fill(never, 0, firstTimestamp);
    scores.fill(never, firstTimestamp + about.firstTimestampMax + 1);
    return;
  }
  if (isTime(last)) {
    // Times come in pairs: the end of a segment, and the start of the next one.
    if (tokens.length < 2 || isTime(tokens.at(-2))) scores.fill(never, firstTimestamp);
    else scores.fill(never, 0, end);
  }
  const latest = tokens.findLast(isTime);
  if (latest !== undefined) {
    // Time does not go back; and a segment takes some.
    const from = isTime(last) && !isTime(tokens.at(-2)) && tokens.length > 1 ? latest : latest + 1;
    scores.fill(never, firstTimestamp, from);
  }
  // When some time is likelier than any one text, a time it is.
  const logprobs = logSoftmax(scores);
  let times = 0;
  for (let token = firstTimestamp; token < logprobs.length; token++) times += Math.exp(logprobs[token]!);
  let text = never;
  for (let token = 0; token < firstTimestamp; token++) text = Math.max(text, logprobs[token]!);
  if (Math.log(times) > text) scores.fill(never, 0, firstTimestamp);
}

function probabilityAt({ logits, vocabulary }: Step, at: number, token: number): number {
  return Math.exp(logSoftmax(logits.slice(at * vocabulary, (at + 1) * vocabulary))[token]!);
}

function logSoftmax(scores: Float32Array): Float32Array {
  let most = Number.NEGATIVE_INFINITY;
  for (const score of scores) if (score > most) most = score;
  let sum = 0;
  for (const score of scores) sum += Math.exp(score - most);
  const total = most + Math.log(sum);
  return scores.map((score) => score - total);
}

function argmax(scores: Float32Array): number {
  let best = 0;
  for (let at = 1; at < scores.length; at++) if (scores[at]! > scores[best]!) best = at;
  return best;
}

function sample(scores: Float32Array, temperature: number, random: () => number): number {
  const logprobs = logSoftmax(scores.map((score) => score / temperature));
  let left = random();
  let last = 0;
  for (let at = 0; at < logprobs.length; at++) {
    const probability = Math.exp(logprobs[at]!);
    if (probability === 0) continue;
    last = at;
    left -= probability;
    if (left < 0) return at;
  }
  return last;
}

/** 0 to 1, the same numbers in every call: the same recording gives the same text. (xorshift, Marsaglia 2003) */
function createChance(): () => number {
  let state = 0x2545_f491;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
