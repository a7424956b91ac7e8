// Remembers which beginnings of prompts were seen, in blocks of tokens, as engines keep the state of theirs: a block is
// found only when everything before it is the same.

import { hashNumbers, hashText } from "./random.ts";

export interface PrefixCache {
  /**
   * Notes a prompt and says how many of its tokens were known already. The last token is never among them: an engine has
   * to run at least one to go on from.
   *
   * @param scope prompts of different scopes (model, salt) share nothing
   */
  visit(scope: string, tokens: number[]): number;
  clear(): void;
}

/** Tokens in a block, as in vLLM by default. */
export const BLOCK_TOKENS = 16;

/** @param blocksMax blocks kept at most; those not seen for longest go first */
export function createPrefixCache(blocksMax: number): PrefixCache {
  /** Keys in order of last use. */
  const blocks = new Set<number>();

  function visit(scope: string, tokens: number[]): number {
    let key = hashText(scope);
    let known = 0;
    let missed = false;
    for (let from = 0; from + BLOCK_TOKENS <= tokens.length; from += BLOCK_TOKENS) {
      key = hashNumbers(tokens, from, from + BLOCK_TOKENS, key);
      if (blocks.delete(key)) {
        if (!missed) known += BLOCK_TOKENS;
      } else {
        missed = true;
      }
      blocks.add(key);
    }
    for (const oldest of blocks) {
      if (blocks.size <= blocksMax) break;
      blocks.delete(oldest);
    }
    return known < tokens.length ? known : known - BLOCK_TOKENS;
  }

  return { visit, clear: () => blocks.clear() };
}
