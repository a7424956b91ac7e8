// Texts to tokens, by the model's own tokenizer.json, special tokens included. A text that is longer than the model reads is
// refused with its number of tokens, never cut: half a text has another meaning, and nobody would know.

import { Tokenizer } from "@huggingface/tokenizers";
import { ApiError } from "@oxbow/contract";
import { UnusableModel } from "@oxbow/worker";
import { readJson } from "../weights.ts";

export interface Tokens {
  /**
   * @param field of an input, for messages
   * @throws ApiError `context_length_exceeded`, `invalid_value` for tokens that the model does not have; the signal's reason
   */
  encode(
    inputs: readonly (string | number[])[],
    field: (index: number) => string,
    signal: AbortSignal,
  ): Promise<Int32Array[]>;
  /** Tokens of all inputs together, however long they are. */
  count(inputs: readonly (string | number[])[]): Promise<number>;
}

/** Characters after which the thread is given up for a moment: some twenty milliseconds of work. */
const BREATH_CHARACTERS = 32_768;

/**
 * A text of more characters than this for each token of the context is looked at from its beginning first: when that part is
 * too long already, the rest need not be read, and a text of megabytes holds up nobody.
 */
const CHARACTERS_PER_TOKEN = 64;

/** @throws UnusableModel when the folder has no tokenizer that can be read */
export function createTokens(folder: string, contextTokens: number): Tokens {
  const tokenizer = openTokenizer(folder);
  const frame = frameOf(tokenizer);
  let size = 0;
  for (const id of tokenizer.get_vocab(true).values()) size = Math.max(size, id + 1);
  const ids = (text: string) => tokenizer.encode(text).ids;

  function idsOf(input: string | number[], field: string): number[] {
    if (typeof input !== "string") return framed(input, field);
    const prefix = CHARACTERS_PER_TOKEN * contextTokens;
    if (input.length > prefix) {
      const least = ids(input.slice(0, prefix)).length;
      if (least > contextTokens) throw tooLong(contextTokens, `at least ${least}`, field);
    }
    return ids(input);
  }

  /** Tokens of a caller's own making: the special ones are added, unless they are there. */
  function framed(tokens: number[], field: string): number[] {
    const alien = tokens.find((token) => token >= size);
    if (alien !== undefined) {
      const text = `Invalid value for '${field}': the model has no token ${alien}, its tokens go from 0 to ${size - 1}. Tokens of another model's tokenizer mean nothing to it: send the text itself.`;
      throw new ApiError("invalid_value", text, { param: field });
    }
    const { start, end } = frame;
    if (start.every((token, at) => tokens[at] === token) && start.length > 0) return tokens;
    return [...start, ...tokens, ...end];
  }

  async function each(
    inputs: readonly (string | number[])[],
    signal: AbortSignal | null,
    take: (input: string | number[], index: number) => void,
  ) {
    let read = 0;
    for (const [index, input] of inputs.entries()) {
      take(input, index);
      read += input.length;
      if (read < BREATH_CHARACTERS) continue;
      read = 0;
      await new Promise((resolve) => setImmediate(resolve));
      signal?.throwIfAborted();
    }
  }

  return {
    async encode(inputs, field, signal) {
      const texts: Int32Array[] = [];
      await each(inputs, signal, (input, index) => {
        const found = idsOf(input, field(index));
        if (found.length > contextTokens) throw tooLong(contextTokens, String(found.length), field(index));
        texts.push(Int32Array.from(found));
      });
      return texts;
    },
    async count(inputs) {
      let sum = 0;
      await each(inputs, null, (input) => {
        sum += typeof input === "string" ? ids(input).length : input.length + frame.start.length + frame.end.length;
      });
      return sum;
    },
  };
}

function openTokenizer(folder: string): Tokenizer {
  const tokenizer = readJson(folder, "tokenizer.json");
  if (!tokenizer) throw new UnusableModel("has no tokenizer.json");
  try {
    return new Tokenizer(tokenizer, readJson(folder, "tokenizer_config.json") ?? {});
  } catch (cause) {
    if (cause instanceof UnusableModel) throw cause;
    throw new UnusableModel("has a tokenizer.json that cannot be used");
  }
}

/** The special tokens around every text: what surrounds a letter, less the letter. */
function frameOf(tokenizer: Tokenizer): { start: number[]; end: number[] } {
  const whole = tokenizer.encode("a").ids;
  const bare = tokenizer.encode("a", { add_special_tokens: false }).ids;
  const at = whole.findIndex((_, from) => bare.every((id, step) => whole[from + step] === id));
  return { start: whole.slice(0, at), end: whole.slice(at + bare.length) };
}

/** In OpenAI's words, which applications look for. */
function tooLong(contextTokens: number, tokens: string, param: string): ApiError {
  const text = `This model's maximum context length is ${contextTokens} tokens, however you requested ${tokens} tokens (${tokens} in your prompt; 0 for the completion). Please reduce your prompt.`;
  return new ApiError("context_length_exceeded", text, { param });
}
