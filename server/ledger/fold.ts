// The sums of each day, folded from the events by their sequence: what was folded is known by a mark that moves in the same
// transaction, so nothing is added twice or left out, and the sums can be made again from nothing.

import { KIND } from "./schema.ts";

/** Sums by day and source of the events that follow `seq > …`. */
export const SUMS = `SELECT day, source, sum(kind = ${KIND.settle}) AS requests, sum(units) AS units,
  coalesce(sum(tokens_in), 0) AS tokens_in, coalesce(sum(tokens_out), 0) AS tokens_out FROM ledger_event`;
export const COUNTED = `kind IN (${KIND.settle}, ${KIND.adjust}) GROUP BY day, source`;

/** To be run one after the other in one transaction. */
export const FOLD = [
  `INSERT INTO usage_day (day, source, requests, units, tokens_in, tokens_out)
   ${SUMS} WHERE seq > (SELECT seq FROM fold_mark WHERE name = 'usage_day') AND ${COUNTED}
   ON CONFLICT (day, source) DO UPDATE SET requests = requests + excluded.requests, units = units + excluded.units,
   tokens_in = tokens_in + excluded.tokens_in, tokens_out = tokens_out + excluded.tokens_out`,
  `UPDATE fold_mark SET seq = (SELECT coalesce(max(seq), 0) FROM ledger_event) WHERE name = 'usage_day'`,
];
