// Chooses the tokens of an answer. The plan names a token for every place; around it stand a few others, and all have
// logits, so that logit_bias and the penalties do to the answer what they do to a model's, and log-probabilities are
// those of one distribution.

import type { TokenLogprob, TopLogprob } from "@oxbow/contract";
import { decode, encode } from "./tokenizer.ts";

export interface Sampling {
  /** Token id to −100 … 100. At −100 a token never comes, at 100 no other does. */
  bias: ReadonlyMap<number, number>;
  frequencyPenalty: number;
  presencePenalty: number;
  /** How many of the likeliest tokens to report beside each; null for no log-probabilities. */
  topLogprobs: number | null;
}

export interface Token {
  id: number;
  text: string;
  logprob?: TokenLogprob;
}

/** @param planned token ids as the plan has them */
export function sampleTokens(planned: number[], sampling: Sampling): Token[] {
  const isPlain = sampling.bias.size === 0 && !sampling.frequencyPenalty && !sampling.presencePenalty;
  if (isPlain && sampling.topLogprobs === null) return planned.map((id) => ({ id, text: decode(id) }));

  const counts = new Map<number, number>();
  return planned.map((plannedId, place) => {
    const ranked = rank(candidates(plannedId, place, sampling.bias), counts, sampling);
    const { id, logit } = ranked[0]!;
    counts.set(id, (counts.get(id) ?? 0) + 1);
    if (sampling.topLogprobs === null) return { id, text: decode(id) };

    // The tail stands for the rest of the vocabulary: the probabilities of what is listed add up to less than 1.
    const total = ranked.reduce((sum, other) => sum + Math.exp(other.logit - logit), TAIL);
    const entry = (candidate: Candidate): TopLogprob => {
      const text = decode(candidate.id);
      const logprob = Math.max(candidate.logit - logit - Math.log(total), LOGPROB_MIN);
      return { token: text, logprob, bytes: [...Buffer.from(text)] };
    };
    const top = ranked.slice(0, sampling.topLogprobs).map(entry);
    return { id, text: decode(id), logprob: { ...entry(ranked[0]!), top_logprobs: top } };
  });
}

interface Candidate {
  id: number;
  logit: number;
}

const TAIL = 0.01;
/** What the API reports for tokens that are next to impossible. */
const LOGPROB_MIN = -9999;
/** Logit of a token that nothing speaks for but a bias. */
const OUTSIDER_LOGIT = -20;
/** How many tokens stand beside the planned one: enough for `top_logprobs` of 20 when some of them are banned. */
const BESIDE = 24;

const COMMON = encode(
  " a the of and to in is it on as by for with not this that but from or an be are was one all can has had out so up no if he she we you me my our his her its do did go see say may now new old day way use two how who".slice(
    1,
  ),
).filter((id, at, all) => all.indexOf(id) === at);

/** The planned token first, then common ones, less and less likely; which ones follows from token and place. */
function candidates(planned: number, place: number, bias: Sampling["bias"]): Candidate[] {
  const mix = (planned * 31 + place * 7919) % 1009;
  const list: Candidate[] = [{ id: planned, logit: 0 }];
  for (let step = 0; list.length <= BESIDE; step++) {
    const id = COMMON[(mix + step) % COMMON.length]!;
    if (id !== planned) list.push({ id, logit: -1.5 - (mix % 7) / 2 - step / 3 });
  }
  for (const id of bias.keys()) {
    if (!list.some((candidate) => candidate.id === id)) list.push({ id, logit: OUTSIDER_LOGIT });
  }
  return list;
}

/** After bias and penalties (as the API reference defines them: per count, and once), likeliest first. */
function rank(list: Candidate[], counts: ReadonlyMap<number, number>, sampling: Sampling): Candidate[] {
  for (const candidate of list) {
    const count = counts.get(candidate.id) ?? 0;
    candidate.logit += sampling.bias.get(candidate.id) ?? 0;
    candidate.logit -= count * sampling.frequencyPenalty + (count > 0 ? sampling.presencePenalty : 0);
  }
  return list.sort((a, b) => b.logit - a.logit);
}
