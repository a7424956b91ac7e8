// One choice of POST /v1/completions in the making: tokens become text cut by stop strings, with log-probabilities in the
// older API's four parallel lists.

import type { CompletionLogprobs } from "@oxbow/contract";
import { createStopFilter } from "./chat/stop.ts";
import type { Logprobs } from "./native.ts";
import { createTextDecoder, printBytes, type Vocabulary } from "./vocabulary.ts";

/** A stretch of text and the tokens it is made of. */
export interface TextEvent {
  text: string;
  logprobs: CompletionLogprobs;
}

export interface ContinuationOptions {
  prompt: Uint32Array;
  /** Begin the text with the prompt. */
  echo: boolean;
  stops: string[];
  /** How many of the most likely tokens to name beside each; null: no lists. */
  logprobs: number | null;
  emit(event: TextEvent): void;
}

export function createContinuation(vocabulary: Vocabulary, options: ContinuationOptions) {
  const { echo, logprobs: wanted } = options;
  const decode = createTextDecoder();
  const filter = createStopFilter(options.stops);
  let lists = emptyLists();
  /** Characters of text so far, echoed prompt included: where the next token begins. */
  let offset = 0;
  let stopped = false;
  let tokens = 0;
  let sum = 0;

  function emit(text: string): void {
    if (text === "") return;
    options.emit({ text, logprobs: lists });
    lists = emptyLists();
  }

  /** Control tokens steer and are no text. */
  function textOf(token: number): string {
    return vocabulary.isControl(token) ? "" : decode(vocabulary.bytesOf(token));
  }

  function note(token: number, logprobs: Logprobs | null): void {
    if (wanted === null) return;
    const name = (id: number) => nameOf(vocabulary.bytesOf(id));
    lists.tokens.push(name(token));
    lists.token_logprobs.push(logprobs?.chosen ?? null);
    lists.text_offset.push(offset);
    lists.top_logprobs?.push(
      logprobs && {
        ...Object.fromEntries(logprobs.top.map((top) => [name(top.token), top.logprob])),
        [name(token)]: logprobs.chosen,
      },
    );
  }

  return {
    /** The prompt has been read. `scores` has an entry per token if they were asked for. */
    prompt(scores: (Logprobs | null)[]): void {
      if (!echo) return;
      let text = "";
      for (const [i, token] of options.prompt.entries()) {
        note(token, scores[i] ?? null);
        const piece = textOf(token);
        offset += piece.length;
        text += piece;
      }
      emit(text);
    },
    /** @returns false once a stop string has been met */
    push(token: number, logprobs: Logprobs | null): boolean {
      tokens++;
      sum += logprobs?.chosen ?? 0;
      note(token, logprobs);
      const piece = textOf(token);
      offset += piece.length;
      const out = filter.push(piece);
      stopped = out.stopped;
      emit(out.text);
      return !stopped;
    },
    end(): void {
      if (stopped) return;
      emit(filter.end());
      // Tokens that left no text, such as half a character, still have their log-probabilities.
      if (lists.tokens.length > 0) options.emit({ text: "", logprobs: lists });
    },
    tokens: () => tokens,
    /** Mean log-probability of the tokens, so far as they were asked for. */
    score: () => (tokens === 0 ? 0 : sum / tokens),
  };
}

function emptyLists(): CompletionLogprobs {
  return { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
}

/** Tokens that are not whole characters have this spelling in the older API. */
function nameOf(bytes: Uint8Array): string {
  const text = printBytes(bytes);
  return text.startsWith("\\x") ? `bytes:${text}` : text;
}
