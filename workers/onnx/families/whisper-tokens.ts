// Whisper's vocabulary: which tokens are languages, tasks and times, by the files beside the weights.

import { Tokenizer } from "@huggingface/tokenizers";
import { UnusableModel } from "@oxbow/worker";
import { readJson } from "../weights.ts";

export interface WhisperTokens {
  startOfTranscript: number;
  end: number;
  /** null where a model knows no earlier text. */
  startOfPrevious: number | null;
  noTimestamps: number;
  /** Times are this token and those behind it, 0.02 s apart. */
  firstTimestamp: number;
  noSpeech: number | null;
  /** Token by ISO 639-1 code; empty for a model of one language. */
  languages: Record<string, number>;
  tasks: { transcribe: number; translate: number } | null;
  /** Never said, and never said first. */
  suppressed: number[];
  suppressedFirst: number[];
  /** The latest time, in steps of 0.02 s, at which a window may begin to speak. */
  firstTimestampMax: number;
  /** Layer and head, of those whose attention follows the sound. */
  alignmentHeads: [number, number][] | null;
  contextTokens: number;
}

export const SECONDS_PER_TIMESTAMP = 0.02;

export function openTokenizer(folder: string): Tokenizer {
  const tokenizer = readJson(folder, "tokenizer.json");
  if (!tokenizer) throw new UnusableModel("has no tokenizer.json");
  try {
    return new Tokenizer(tokenizer, readJson(folder, "tokenizer_config.json") ?? {});
  } catch {
    throw new UnusableModel("has a tokenizer.json that cannot be used");
  }
}

/** What tokens say; those for times, languages and tasks, from `end` on, say nothing. */
export function textOf(tokenizer: Tokenizer, tokens: readonly number[], end: number): string {
  const said = tokens.filter((token) => token < end);
  return said.length === 0 ? "" : tokenizer.decode(said);
}

/** @throws UnusableModel when a file that says it is not there */
export function readTokens(folder: string, tokenizer: Tokenizer): WhisperTokens {
  const config = readJson(folder, "config.json") ?? {};
  const said = readJson(folder, "generation_config.json");
  if (!said) throw new UnusableModel("has no generation_config.json");
  const all: Record<string, unknown> = { ...config, ...said };
  const idOf = (token: string): number | null => tokenizer.token_to_id(token) ?? null;
  const need = (name: string, token: string): number => {
    const id = numberIn(all, name) ?? idOf(token);
    if (id === null) throw new UnusableModel(`has a generation_config.json without ${name}`);
    return id;
  };
  const noTimestamps = need("no_timestamps_token_id", "<|notimestamps|>");
  const tasks = all.task_to_id as { transcribe: number; translate: number } | undefined;
  const languages = Object.entries((all.lang_to_id as Record<string, number> | undefined) ?? {});
  return {
    startOfTranscript: need("decoder_start_token_id", "<|startoftranscript|>"),
    end: need("eos_token_id", "<|endoftext|>"),
    startOfPrevious: numberIn(all, "prev_sot_token_id") ?? idOf("<|startofprev|>"),
    noTimestamps,
    firstTimestamp: noTimestamps + 1,
    noSpeech: idOf("<|nospeech|>") ?? idOf("<|nocaptions|>"),
    languages: Object.fromEntries(languages.map(([token, id]) => [token.replaceAll(/[<|>]/g, ""), id])),
    tasks: tasks ?? null,
    suppressed: (all.suppress_tokens as number[] | null | undefined) ?? [],
    suppressedFirst: (all.begin_suppress_tokens as number[] | null | undefined) ?? [],
    firstTimestampMax: numberIn(all, "max_initial_timestamp_index") ?? 50,
    alignmentHeads: (all.alignment_heads as [number, number][] | null | undefined) ?? null,
    contextTokens: numberIn(config, "max_target_positions") ?? 448,
  };
}

function numberIn(table: Record<string, unknown>, name: string): number | null {
  const value = table[name];
  return typeof value === "number" ? value : null;
}
