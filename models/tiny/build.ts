// Makes the built-in model: `bun models/tiny/build.ts` writes tiny.gguf beside this file, from corpus.txt alone, the
// same bytes every time.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createTokenizer, trainVocabulary } from "./bpe.ts";
import { CHAT_TEMPLATE, SPECIAL_TOKENS } from "./chat-template.ts";
import { parseCorpus } from "./corpus.ts";
import { encodeGguf } from "./gguf.ts";
import { llamaFile } from "./llama.ts";
import type { Knowledge } from "./memory.ts";
import { memoryShape, memoryWeights } from "./weights.ts";

const CONTEXT_TOKENS = 4096;

/** The bytes of tiny.gguf. */
export function buildTiny(): Uint8Array {
  const topics = parseCorpus(readFileSync(join(import.meta.dir, "corpus.txt"), "utf8"));
  const forms = topics.flatMap(({ keywords }) => keywords.flatMap(({ word }) => formsOf(word)));
  const answers = topics.flatMap((topic) => topic.answers);
  const text = ["system", "user", "assistant", ...forms, ...answers].join("\n");
  const vocabulary = trainVocabulary(text, 4096, SPECIAL_TOKENS);
  const { encode, id } = createTokenizer(vocabulary);

  const start = encode("<|im_end|>\n<|im_start|>assistant\n");
  const knowledge: Knowledge = {
    passages: topics.flatMap(({ answers, keywords }, topic) =>
      answers.map((answer) => {
        const tokens = [...start, ...encode(answer), id("<|im_end|>")];
        // Without a topic nothing leads to the first token, only on from it.
        return keywords.length > 0 ? { tokens, given: start.length, topic } : { tokens, given: start.length + 1 };
      }),
    ),
    roles: ["user", "assistant", "system"].map(id),
    keywords: new Map(
      topics.flatMap(({ keywords }, topic) =>
        keywords.flatMap(({ word, strength }) => formsOf(word).map((form) => [id(form), { topic, strength }] as const)),
      ),
    ),
    breaks: [id("\n")],
    closers: ['"', '",', '"}'].map(id),
    fallback: [".", "<|im_end|>", '"', '":', '",', '"}', "}", "]", '{"'].map(id),
    tokens: vocabulary.tokens.length,
  };
  return encodeGguf(
    llamaFile({
      name: "tiny",
      description: "A toy model with a page of text by heart, so that a fresh installation answers without a network",
      shape: memoryShape(knowledge, CONTEXT_TOKENS),
      vocabulary,
      chatTemplate: CHAT_TEMPLATE,
      weights: memoryWeights(knowledge, 1),
    }),
  );
}

/** How a keyword may stand in a question: at its start or after a space, with or without a capital. */
function formsOf(word: string): string[] {
  if (!/^\w/.test(word)) return [word];
  const capital = word[0]!.toUpperCase() + word.slice(1);
  return [...new Set([word, capital, ` ${word}`, ` ${capital}`])];
}

if (import.meta.main) writeFileSync(join(import.meta.dir, "tiny.gguf"), buildTiny());
