// What the readers of model output share: pieces, and the small machines that cut text without ever cutting a character.

export type OutputPiece =
  | { kind: "content"; text: string }
  | { kind: "reasoning"; text: string }
  /** A tool call begins; the `arguments` that follow belong to it. */
  | { kind: "call"; name: string }
  | { kind: "arguments"; text: string };

/**
 * Text must come with special tokens spelled out (`<tool_call>`, `<think>`), except the one that ends the answer: they
 * are the markers that the reader looks for.
 */
export interface OutputReader {
  push(text: string): OutputPiece[];
  /** The model ended, or was cut off: what was held back. */
  end(): OutputPiece[];
}

/** Collects the pieces of one step; pieces of the same kind that meet become one. */
export class Pieces {
  readonly list: OutputPiece[] = [];

  add(kind: "content" | "reasoning" | "arguments", text: string): void {
    if (text === "") return;
    const last = this.list.at(-1);
    if (last?.kind === kind) last.text += text;
    else this.list.push({ kind, text });
  }

  call(name: string): void {
    this.list.push({ kind: "call", name });
  }
}

/** How much of `text` may go out without its last character being half of one. */
export function wholeCharacters(text: string): number {
  const last = text.charCodeAt(text.length - 1);
  return last >= 0xd800 && last <= 0xdbff ? text.length - 1 : text.length;
}

/** Finds the end of one JSON object or array, character by character, whatever the chunk borders. */
export function createJsonEnd() {
  let depth = 0;
  let inString = false;
  let escaped = false;
  /** @returns the index after its last character, or -1 when it goes on */
  return (text: string): number => {
    for (let index = 0; index < text.length; index++) {
      const char = text[index];
      if (inString) {
        if (escaped) escaped = false;
        else if (char === "\\") escaped = true;
        else if (char === '"') inString = false;
      } else if (char === '"') inString = true;
      else if (char === "{" || char === "[") depth++;
      else if ((char === "}" || char === "]") && --depth === 0) return index + 1;
    }
    return -1;
  };
}
