import { expect, test } from "bun:test";
import fc from "fast-check";
import { type AnswerEvent, createAnswer } from "./answer.ts";
import type { OutputPiece, OutputReader } from "./chat/output.ts";
import type { Logprobs } from "./native.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** Token n is the n-th byte. */
const vocabulary = { bytesOf: (token: number) => Uint8Array.of(token) } as Vocabulary;
const plain = (): OutputReader => ({ push: (text) => (text === "" ? [] : [{ kind: "content", text }]), end: () => [] });

function answerOf(text: string, options: { stops?: string[]; logprobs?: boolean; reader?: OutputReader } = {}) {
  const events: AnswerEvent[] = [];
  const { stops = [], logprobs = false, reader = plain() } = options;
  const answer = createAnswer(vocabulary, reader, stops, logprobs, (event) => events.push(event));
  const scores: Logprobs | null = logprobs ? { chosen: -1, top: [] } : null;
  for (const byte of new TextEncoder().encode(text)) if (!answer.push(byte, scores)) break;
  answer.end();
  const content = events.map((event) => (event.kind === "content" ? event.text : "")).join("");
  const entries = events.flatMap((event) => (event.kind === "content" ? (event.logprobs ?? []) : []));
  return { answer, events, content, entries };
}

test("a stop string ends the answer and is not in it, however it is cut into tokens", () => {
  expect(answerOf("Hello STOP never", { stops: ["STOP"] })).toMatchObject({ content: "Hello " });
  expect(answerOf("Hello STO", { stops: ["STOP"] })).toMatchObject({ content: "Hello STO" });
  expect(answerOf("Hello STOP never", { stops: ["STOP"] }).answer.tokens).toBe(10);
});

test("without a stop string the answer is the text, in valid UTF-8 at every step", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), (text) => {
      const { content, events } = answerOf(text, { stops: ["never in it"] });
      expect(content).toBe(text);
      for (const event of events) if (event.kind === "content") expect(event.text).not.toContain("\ufffd");
    }),
  );
});

test("every token of the content has one log-probability, on the event that carries its text", () => {
  const { entries, events } = answerOf("é🙂!", { logprobs: true });
  expect(events.map((event) => event.kind === "content" && [event.text, event.logprobs?.length])).toEqual([
    ["é", 2],
    ["🙂", 4],
    ["!", 1],
  ]);
  expect(entries.map(({ token }) => token).join("")).toBe("\\xc3\\xa9\\xf0\\x9f\\x99\\x82!");
});

test("tokens cut away with a stop string have no log-probability", () => {
  expect(answerOf("ab.STOP", { stops: ["STOP"], logprobs: true }).entries.map(({ token }) => token)).toEqual([
    "a",
    "b",
    ".",
  ]);
});

test("half a character at the end leaves its log-probabilities, and no text", () => {
  const events: AnswerEvent[] = [];
  const answer = createAnswer(vocabulary, plain(), [], true, (event) => events.push(event));
  answer.push(0xf0, { chosen: -1, top: [] });
  answer.end();
  expect(events).toEqual([]);
  expect(answer.leftover()).toHaveLength(1);
});

/** Reads `<` as the beginning of reasoning, `>` as its end, `!` as a call. */
function markedReader(): OutputReader {
  let kind: "content" | "reasoning" = "content";
  return {
    push(text): OutputPiece[] {
      if (text === "<") kind = "reasoning";
      else if (text === ">") kind = "content";
      else if (text === "!") return [{ kind: "call", name: "f" }];
      else if (text !== "") return [{ kind, text }];
      return [];
    },
    end: () => [],
  };
}

test("reasoning tokens are counted, and have no log-probabilities", () => {
  const { answer, content, entries } = answerOf("<ab>cd", { reader: markedReader(), logprobs: true });
  expect(content).toBe("cd");
  expect({ tokens: answer.tokens, reasoning: answer.reasoningTokens }).toEqual({ tokens: 6, reasoning: 3 });
  expect(entries.map(({ token }) => token)).toEqual(["c", "d"]);
});

test("stop strings cut content, not reasoning", () => {
  expect(answerOf("<x>axb", { reader: markedReader(), stops: ["x"] })).toMatchObject({ content: "a" });
});

test("a call without arguments gets an empty object", () => {
  const { events, answer } = answerOf("a!!", { reader: markedReader() });
  expect(events).toEqual([
    { kind: "content", text: "a", logprobs: undefined },
    { kind: "call", name: "f" },
    { kind: "arguments", text: "{}" },
    { kind: "call", name: "f" },
    { kind: "arguments", text: "{}" },
  ]);
  expect(answer.calls).toBe(2);
});
