// What counts as a request: every way in which an accepted call can end, and whether it is counted. The ledger writes the
// name of the row, the gateway decides which one it is, and docs/what-counts.md is made from the table.

export interface OutcomeKind {
  /** Whether the caller's quota and bill have it: then it counts its units, whatever its length. */
  counted: boolean;
  /** When it happens, and why it counts or does not. */
  about: string;
}

export const OUTCOMES = {
  complete: {
    counted: true,
    about: "A usable answer was delivered, whatever its length and however often we tried inside.",
  },
  cancelled_after_first_token: {
    counted: true,
    about: "The caller hung up, or stopped reading, after the first token of a stream: the work was done.",
  },
  cancelled_before_first_token: {
    counted: false,
    about: "The caller hung up before the first token, or before a whole answer was there.",
  },
  client_error: { counted: false, about: "The engine refused the call as the caller's mistake (4xx)." },
  refused: { counted: false, about: "The engine, or the server on its way down, took no more calls (429, 503)." },
  queue_timeout: {
    counted: false,
    about: "No engine was free in time: refused before it began, so that the ledger never has it.",
  },
  engine_failed: {
    counted: false,
    about: "The engine failed or fell silent before its first token, or we failed (5xx).",
  },
  interrupted: {
    counted: false,
    about: "The engine broke off in the middle of a stream: what came is no usable answer.",
  },
  lost: { counted: false, about: "The server died while the call ran, and found it unfinished when it came back." },
} as const satisfies Record<string, OutcomeKind>;

export type Outcome = keyof typeof OUTCOMES;

export function isCounted(outcome: Outcome): boolean {
  return OUTCOMES[outcome].counted;
}
