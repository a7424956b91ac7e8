// The texts of the benchmark of embeddings: paragraphs of 16 to 112 tokens, 64 on average, the same in every run.

import { createRandom } from "../models/tiny/random.ts";

const WORDS = "a model reads one word after the other and answers questions about what it has read in order".split(" ");

/** @param count of texts; the first ones are the same whatever it is */
export function textsOf(count: number): string[] {
  const random = createRandom(5);
  const below = (most: number) => Math.floor(random.uniform() * most);
  return Array.from({ length: count }, () =>
    Array.from({ length: 14 + below(97) }, () => WORDS[below(WORDS.length)]!).join(" "),
  );
}
