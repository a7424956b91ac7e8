// Reads what a model of a family with markers writes: reasoning between its tags, then content, then tool calls.

import { type CallMatcher, createCallMatcher } from "./call-syntax.ts";
import type { CallSyntax, Thinking } from "./families.ts";
import { createJsonEnd, type OutputPiece, type OutputReader, Pieces, wholeCharacters } from "./pieces.ts";
import { heldBack } from "./stop.ts";

export interface ReaderOptions {
  thinking: Thinking | null;
  /** The prompt has already opened the reasoning. */
  opened: boolean;
  /** Null when the model was not offered any tools: then calls are text like any other. */
  calls: { syntax: CallSyntax; names: string[] } | null;
  /** The grammar allows nothing but calls, after the reasoning: other text is the beginning of one. */
  onlyCalls?: boolean;
}

/** What the text at hand belongs to, in the order that an answer takes. */
type State = "start" | "reasoning" | "content" | "head" | "arguments" | "tail" | "after" | "rest";

const SPACE = /^[ \t\r\n]+/;
const SPACE_AT_END = /[ \t\r\n]+$/;

export function createMarkerReader({ thinking, opened, calls, onlyCalls = false }: ReaderOptions): OutputReader {
  const matcher: CallMatcher | null = calls && createCallMatcher(calls.syntax, calls.names);
  let state: State = thinking && opened ? "reasoning" : "start";
  let buffer = "";
  let first = true;
  let jsonEnd = createJsonEnd();
  /** Nothing of this kind is out yet: whitespace before it is layout. */
  let fresh = true;
  let thought = state === "reasoning";

  /** Takes what it can from the buffer. @returns false when it needs more text */
  function step(pieces: Pieces, last: boolean): boolean {
    switch (state) {
      case "start":
        return start(last);
      case "reasoning":
        return reasoning(pieces, last);
      case "content":
        return content(pieces, last);
      case "head":
        return head(pieces, last);
      case "arguments":
        return args(pieces);
      case "tail":
        return tail(last);
      case "after":
        return after(last);
      case "rest":
        return emit(pieces, "content", wholeCharacters(buffer));
    }
  }

  function emit(pieces: Pieces, kind: "content" | "reasoning" | "arguments", length: number): boolean {
    const text = buffer.slice(0, length);
    pieces.add(kind, text);
    if (text !== "") fresh = false;
    buffer = buffer.slice(length);
    return false;
  }

  function enter(next: State, from = 0): true {
    buffer = buffer.slice(from);
    state = next;
    return true;
  }

  function start(last: boolean): boolean {
    const text = buffer.replace(SPACE, "");
    if (text === "" && !last) return false;
    if (thinking && !thought && text.startsWith(thinking.open)) {
      thought = true;
      return enter("reasoning", buffer.length - text.length + thinking.open.length);
    }
    const begins = [thinking && !thought ? thinking.open : "", calls?.syntax.begin ?? ""].filter((sign) => sign !== "");
    const waiting = begins.some((sign) => sign !== text && sign.startsWith(text));
    if (waiting && !last) return false;
    if (calls?.syntax.onlyFirst && text.startsWith(calls.syntax.begin)) {
      return enter("head", buffer.length - text.length + calls.syntax.begin.length);
    }
    return enter("content", thought ? buffer.length - text.length : 0);
  }

  function reasoning(pieces: Pieces, last: boolean): boolean {
    const { close } = thinking!;
    if (fresh) buffer = buffer.replace(SPACE, "");
    const at = buffer.indexOf(close);
    if (at >= 0) {
      emit(pieces, "reasoning", buffer.slice(0, at).replace(SPACE_AT_END, "").length);
      fresh = true;
      return enter("start", buffer.indexOf(close) + close.length);
    }
    const sure = last ? buffer : buffer.slice(0, buffer.length - heldBack(buffer, [close]));
    return emit(pieces, "reasoning", wholeCharacters(sure.replace(SPACE_AT_END, "")));
  }

  function content(pieces: Pieces, last: boolean): boolean {
    // A stray opening in the middle stays text: only an answer's beginning is a place to think.
    const marker = calls && !calls.syntax.onlyFirst ? calls.syntax.begin : null;
    const at = marker === null ? -1 : buffer.indexOf(marker);
    if (marker !== null && at >= 0) {
      emit(pieces, "content", buffer.slice(0, at).replace(SPACE_AT_END, "").length);
      return enter("head", buffer.indexOf(marker) + marker.length);
    }
    if (last && onlyCalls) {
      // Cut off inside the marker: nothing that a caller could use.
      buffer = "";
      return false;
    }
    if (last || marker === null) return emit(pieces, "content", last ? buffer.length : wholeCharacters(buffer));
    const sure = buffer.slice(0, buffer.length - heldBack(buffer, [marker]));
    return emit(pieces, "content", wholeCharacters(sure.replace(SPACE_AT_END, "")));
  }

  function head(pieces: Pieces, last: boolean): boolean {
    const found = matcher!.head(buffer, first);
    if (found === "more") {
      // Cut off before its name: nothing that a caller could use.
      if (last) buffer = "";
      return false;
    }
    if (found === "no") {
      // No call after all. The marker was text.
      buffer = calls!.syntax.begin + buffer;
      return enter("rest");
    }
    pieces.call(found.name);
    first = false;
    jsonEnd = createJsonEnd();
    return enter("arguments", found.end);
  }

  function args(pieces: Pieces): boolean {
    const end = jsonEnd(buffer);
    const whole = end < 0 ? wholeCharacters(buffer) : end;
    // A held half of a character is seen twice by the scanner, to which it means nothing.
    emit(pieces, "arguments", whole);
    return end >= 0 && enter("tail");
  }

  function tail(last: boolean): boolean {
    const found = matcher!.tail(buffer);
    if (found === "more") {
      if (last) buffer = "";
      return false;
    }
    return enter("after", found === "no" ? 0 : found.end);
  }

  function after(last: boolean): boolean {
    const finish = matcher!.finish(buffer);
    if (typeof finish === "object") return enter("rest", finish.end);
    const next = matcher!.head(buffer, false);
    if (typeof next === "object") return enter("head");
    if (finish === "no" && next === "no") return enter("rest", SPACE.exec(buffer)?.[0].length ?? 0);
    if (last) buffer = "";
    return false;
  }

  function read(last: boolean): OutputPiece[] {
    const pieces = new Pieces();
    while (buffer !== "" && step(pieces, last)) {}
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
