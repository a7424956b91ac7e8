// What the reports of splits and mirrors know of a request.

/** A request that has ended, as far as a report speaks of it. */
export interface Ended {
  model: string;
  /** The side of a split that it was on; "": it was on none. */
  side: string;
  engine: string;
  status: number;
  code: string;
  outcome: string;
  stream: boolean;
  durationMs: number;
  waitedMs: number | null;
  firstTokenMs: number | null;
  tokensIn: number;
  tokensOut: number;
}
