// A text in pieces that can be spoken one after the other: sentences, so that the first is heard while the others are made;
// and of a sentence that goes on and on, parts between its commas or words.

import { isSpeakable } from "@oxbow/contract";

/** Longer pieces are cut: this much is some fifteen seconds of speech, and below what the model reads at once. */
const CHARACTERS_MAX = 220;

const sentences = new Intl.Segmenter("en", { granularity: "sentence" });

/** @returns pieces that together say all of the text; none for a text without a letter or a digit */
export function piecesOf(text: string): string[] {
  const found: string[] = [];
  // Whoever reads a text aloud may take a NUL for its end, and no control character has a sound.
  for (const { segment } of sentences.segment(text.replace(/[\s\p{Cc}]+/gu, " "))) {
    let rest = segment.trim();
    while (rest.length > CHARACTERS_MAX) {
      const head = rest.slice(0, CHARACTERS_MAX);
      const comma = Math.max(...[", ", "; ", ": ", " — "].map((mark) => head.lastIndexOf(mark)));
      const at = comma > CHARACTERS_MAX / 3 ? comma + 1 : head.lastIndexOf(" ");
      // Without a space anywhere: in the middle, but not of a character.
      const cut = at > 0 ? at : /[\ud800-\udbff]$/.test(head) ? head.length - 1 : head.length;
      found.push(rest.slice(0, cut).trim());
      rest = rest.slice(cut).trim();
    }
    found.push(rest);
  }
  return found.filter(isSpeakable);
}
