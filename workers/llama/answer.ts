// One choice of a chat answer in the making: tokens become text, text becomes content, reasoning and tool calls, and stop
// strings cut it. What comes out is the same whether it is streamed or not.

import type { TokenLogprob } from "@oxbow/contract";
import type { OutputPiece, OutputReader } from "./chat/output.ts";
import { createStopFilter } from "./chat/stop.ts";
import type { Logprobs } from "./native.ts";
import { tokenLogprob } from "./sampling.ts";
import { createTextDecoder, type Vocabulary } from "./vocabulary.ts";

/** What a choice is made of, in order. Content carries the log-probabilities of its tokens, if they were asked for. */
export type AnswerEvent =
  | { kind: "content"; text: string; logprobs: TokenLogprob[] | undefined }
  | Exclude<OutputPiece, { kind: "content" }>;

export interface Answer {
  /** @returns false once a stop string has been met */
  push(token: number, logprobs: Logprobs | null): boolean;
  /** After the last token: lets out what was held back. */
  end(): void;
  /** Log-probabilities of content tokens that left no text, such as half a character at the end. */
  leftover(): TokenLogprob[] | undefined;
  readonly tokens: number;
  readonly reasoningTokens: number;
  /** Tool calls begun. */
  readonly calls: number;
}

/** @param emit called with each event as soon as it is certain */
export function createAnswer(
  vocabulary: Vocabulary,
  reader: OutputReader,
  stops: string[],
  wantsLogprobs: boolean,
  emit: (event: AnswerEvent) => void,
): Answer {
  const decode = createTextDecoder();
  const filter = createStopFilter(stops);
  /** Of tokens whose text is not out yet, with the text each one completed. */
  let pending: { entry: TokenLogprob; text: string }[] = [];
  /** Tokens since the last piece: they belong to the kind of the next one. */
  let unread = 0;
  let stopped = false;
  let tokens = 0;
  let reasoningTokens = 0;
  let calls = 0;
  let argumentsOpen = false;

  function content(text: string): void {
    if (text === "") return;
    emit({ kind: "content", text, logprobs: wantsLogprobs ? scoresOf(text) : undefined });
    pending = [];
  }

  /** The pending log-probabilities without those of markers that stood before `text`. */
  function scoresOf(text: string): TokenLogprob[] {
    const begin = pending
      .map((token) => token.text)
      .join("")
      .indexOf(text);
    let at = 0;
    return pending.flatMap((token) => {
      const start = at;
      at += token.text.length;
      return start < begin && at <= begin ? [] : [token.entry];
    });
  }

  function take(piece: OutputPiece): void {
    if (piece.kind === "content") {
      const { text, stopped: now } = filter.push(piece.text);
      content(text);
      stopped = now;
      return;
    }
    content(filter.end());
    pending = [];
    if (piece.kind === "reasoning") reasoningTokens += unread;
    if (piece.kind === "call") {
      closeArguments();
      calls++;
      argumentsOpen = true;
    }
    if (piece.kind === "arguments" && piece.text !== "") argumentsOpen = false;
    emit(piece);
  }

  /** A call whose arguments never came has none: that is `{}`, for clients parse it. */
  function closeArguments(): void {
    if (argumentsOpen) emit({ kind: "arguments", text: "{}" });
    argumentsOpen = false;
  }

  function takeAll(pieces: OutputPiece[]): void {
    for (const piece of pieces) {
      if (stopped) break;
      take(piece);
      unread = 0;
    }
  }

  return {
    push(token, logprobs) {
      tokens++;
      unread++;
      const text = decode(vocabulary.bytesOf(token));
      if (wantsLogprobs && logprobs) pending.push({ entry: tokenLogprob(token, logprobs, vocabulary), text });
      if (text !== "") takeAll(reader.push(text));
      return !stopped;
    },
    end() {
      if (stopped) pending = [];
      else {
        takeAll(reader.end());
        if (!stopped) content(filter.end());
      }
      closeArguments();
    },
    leftover: () => (pending.length > 0 && calls === 0 ? pending.map(({ entry }) => entry) : undefined),
    get tokens() {
      return tokens;
    },
    get reasoningTokens() {
      return reasoningTokens;
    },
    get calls() {
      return calls;
    },
  };
}
