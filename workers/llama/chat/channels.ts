// Reads and holds to form the models that write in channels: each message is headed by its channel, `analysis` for
// reasoning, `final` for the answer, `commentary` for calls and for words that go before them.
// Source: OpenAI, "Harmony response format", developers.openai.com/cookbook, read 2026-11-21.

import { alt, type Expr, type Grammar, seq, text } from "../grammar/gbnf.ts";
import { textUntil } from "./call-syntax.ts";
import { createJsonEnd, type OutputPiece, type OutputReader, Pieces, wholeCharacters } from "./pieces.ts";
import { firstIndex, heldBack } from "./stop.ts";

const ENDS = ["<|end|>", "<|call|>", "<|return|>", "<|start|>", "<|channel|>"];
const MESSAGE = "<|message|>";

/** @param names of the tools that may be called; a message to any other address is text */
export function createChannelReader(names: string[]): OutputReader {
  let buffer = "";
  let kind: "content" | "reasoning" | "arguments" | null = null;
  let jsonEnd = createJsonEnd();

  function header(pieces: Pieces, last: boolean): boolean {
    const at = buffer.indexOf(MESSAGE);
    if (at < 0) {
      // Only an answer that is no message at all begins with anything else than a sign.
      const strange = !ENDS.some((sign) => sign.startsWith(buffer.slice(0, sign.length)) || buffer.startsWith(sign));
      if (strange && !/^(assistant|analysis|commentary|final)?/.exec(buffer)?.[0]) kind = "content";
      else if (last) buffer = "";
      return kind !== null;
    }
    const address = /to=functions\.([a-zA-Z0-9_-]+)/.exec(buffer.slice(0, at))?.[1];
    const analysis = /analysis/.test(buffer.slice(0, at));
    buffer = buffer.slice(at + MESSAGE.length);
    kind = analysis ? "reasoning" : "content";
    if (address !== undefined && names.includes(address)) {
      kind = "arguments";
      jsonEnd = createJsonEnd();
      pieces.call(address);
    }
    return true;
  }

  function body(pieces: Pieces, last: boolean): boolean {
    const end = firstIndex(buffer, ENDS);
    const sure = end >= 0 ? end : buffer.length - (last ? 0 : heldBack(buffer, ENDS));
    const text = buffer.slice(0, end >= 0 || last ? sure : wholeCharacters(buffer.slice(0, sure)));
    if (kind === "arguments") {
      const stop = jsonEnd(text);
      pieces.add("arguments", stop < 0 ? text : text.slice(0, stop));
    } else pieces.add(kind!, text);
    buffer = buffer.slice(text.length);
    if (end < 0) return false;
    kind = null;
    // The sign that ended it may be the one that begins the next.
    if (!buffer.startsWith("<|channel|>")) buffer = buffer.slice(ENDS.find((sign) => buffer.startsWith(sign))!.length);
    return true;
  }

  function read(last: boolean): OutputPiece[] {
    const pieces = new Pieces();
    while (buffer !== "" && (kind === null ? header(pieces, last) : body(pieces, last))) {}
    return pieces.list;
  }

  return {
    push(text) {
      buffer += text;
      return read(false);
    },
    end: () => read(true),
  };
}

/**
 * Reasoning as the model likes, then what is asked for: calls, or an answer.
 *
 * @param remarks whether words may go before calls: they are content, which a caller who asked for calls or JSON alone
 * does not expect
 */
export function channelsExpr(grammar: Grammar, call: Expr | null, answer: Expr | null, remarks: boolean): Expr {
  const message = (channel: string, then: Expr) =>
    seq(
      text(`<|channel|>${channel}${MESSAGE}`),
      textUntil(grammar, "<|end|>", seq(text("<|start|>assistant"), then), false),
    );
  const goals: Expr[] = [];
  if (answer) goals.push(seq(text(`<|channel|>final${MESSAGE}`), answer));
  if (call) goals.push(seq(text("<|channel|>commentary to=functions."), call));
  const goal = grammar.rule("goal", alt(...goals));
  const next = remarks ? grammar.rule("next", alt(goal, message("commentary", goal))) : goal;
  return alt(next, message("analysis", next));
}
