// How two answers to the same call compare, in numbers.

import { firstDifference, type Said } from "./answer.ts";
import type { MirrorRow, Side } from "./mirror-report.ts";

/** An answer, and what is known of it besides its text. */
export interface Told extends Pick<Side, "engine" | "status" | "code" | "durationMs"> {
  said: Said;
  /** It was longer than what was read. */
  cut: boolean;
  /** As the engine counted them; null: as the answer itself says. */
  tokensIn: number | null;
  tokensOut: number | null;
}

export function compare(one: Told, other: Told): Pick<MirrorRow, "same" | "differsAt" | "a" | "b"> {
  const [a, b] = [sideFrom(one), sideFrom(other)];
  const differsAt = firstDifference(one.said.text, other.said.text);
  const same = a.whole && b.whole && differsAt === null && one.said.calls === other.said.calls;
  return { same, differsAt, a, b };
}

function sideFrom({ said, engine, status, code, durationMs, cut, tokensIn, tokensOut }: Told): Side {
  return {
    engine,
    status,
    code,
    durationMs: Math.round(durationMs),
    chars: said.text.length,
    callChars: said.calls.length,
    finish: cut ? "too_long" : said.finish.join(","),
    whole: said.whole && !cut,
    tokensIn: tokensIn ?? said.tokensIn,
    tokensOut: tokensOut ?? said.tokensOut,
  };
}
