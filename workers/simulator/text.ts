// The words of an answer: seeded, moderate in length, and honest that nobody thought them.

import type { Random } from "./random.ts";
import { encode } from "./tokenizer.ts";

export interface ReplyRequest {
  userText: string;
  results: { name: string; text: string }[];
  attachments: string[];
  /** Length to aim at, in tokens; the answer ends with a whole sentence, so it may be some tokens longer. */
  tokens: number;
  /** Which of `n` answers this is: each begins in its own way. */
  index: number;
}

const OPENERS = [
  "This is a simulated answer",
  "Simulated: no model read this",
  "A simulator wrote this answer",
  "No model was asked",
  "Here is a simulated answer",
  "The simulator is speaking",
  "Made up by the simulator",
  "You reached the simulator",
  "Nobody thought about this",
  "Answer from the simulator",
] as const;

/** Text of an answer, before any limit is applied to it. */
export function writeReply(request: ReplyRequest, random: Random): string {
  const opener = OPENERS[(random.below(OPENERS.length) + request.index) % OPENERS.length]!;
  const quote = quoteOf(request.userText);
  let text = quote === "" ? `${opener}.` : `${opener}. You wrote: "${quote}"`;
  for (const attachment of request.attachments) text += ` ${attachment}`;
  for (const result of request.results) {
    text += ` The result of ${result.name} is: ${result.text.slice(0, RESULT_CHARACTERS_MAX)}`;
  }
  return extend(text, request.tokens, random);
}

/** Text of a chain of thought of about `tokens` tokens. */
export function writeReasoning(userText: string, tokens: number, random: Random): string {
  const text = `Simulated reasoning. The user wrote: "${quoteOf(userText)}"`;
  return extend(tokens < 12 ? "Simulated reasoning." : text, tokens, random);
}

/** A continuation of a prompt, of about `tokens` tokens: it begins with a space, as what follows a text does. */
export function writeContinuation(tokens: number, index: number, random: Random): string {
  const opener = OPENERS[(random.below(OPENERS.length) + index) % OPENERS.length]!;
  return extend(` ${opener}.`, tokens, random);
}

/** A few words for a string in a JSON answer. */
export function writeWords(count: number, random: Random): string {
  return Array.from({ length: count }, () => random.pick(WORDS)).join(" ");
}

/** A result longer than this is quoted in part. */
const RESULT_CHARACTERS_MAX = 4000;
const QUOTE_CHARACTERS_MAX = 80;

function quoteOf(text: string): string {
  const line = text
    .slice(0, 10 * QUOTE_CHARACTERS_MAX)
    .trim()
    .replace(/\s+/g, " ");
  if (line.length <= QUOTE_CHARACTERS_MAX) return line;
  const cut = line.slice(0, QUOTE_CHARACTERS_MAX);
  return `${cut.slice(0, Math.max(cut.lastIndexOf(" "), QUOTE_CHARACTERS_MAX / 2)).toWellFormed()}…`;
}

/** Adds whole sentences until the text is `tokens` long. */
function extend(text: string, tokens: number, random: Random): string {
  const parts = [text];
  let count = encode(text).length;
  while (count < tokens) {
    const sentence = writeSentence(random);
    parts.push(sentence);
    count += encode(` ${sentence}`).length;
  }
  return parts.join(" ");
}

function writeSentence(random: Random): string {
  const words = writeWords(4 + random.below(7), random);
  return `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;
}

const WORDS =
  "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut labore et dolore magna aliqua enim ad minim veniam quis nostrud exercitation ullamco laboris nisi aliquip ex ea commodo consequat duis aute irure in reprehenderit voluptate velit esse cillum fugiat nulla pariatur excepteur sint occaecat cupidatat non proident sunt culpa qui officia deserunt mollit anim id est laborum".split(
    " ",
  );
