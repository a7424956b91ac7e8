// Tokens to text while they come: what is not yet whole, such as half of a character, is held back.

export interface TextStream {
  /** What can be said now; may be empty. */
  push(token: number): string;
  /** The rest of the window. */
  flush(): string;
}

/** @param textOf of tokens of which those for times and tasks say nothing */
export function createTextStream(textOf: (tokens: readonly number[]) => string): TextStream {
  let tokens: number[] = [];
  let said = 0;
  let begun = false;

  function take(text: string): string {
    const delta = text.slice(said);
    said = text.length;
    // The whole text has no space at its start, so that neither may the first piece.
    const shown = begun ? delta : delta.trimStart();
    begun ||= shown !== "";
    return shown;
  }

  return {
    push(token) {
      tokens.push(token);
      const text = textOf(tokens);
      return text.endsWith("\ufffd") ? "" : take(text);
    },
    flush() {
      const rest = take(textOf(tokens));
      tokens = [];
      said = 0;
      return rest;
    },
  };
}
