// GET /health: is the process alive. GET /ready: can it answer, model by model. Neither wants a key.

import { type Exchange, sendJson } from "../exchange.ts";

export function health(exchange: Exchange): Response {
  return sendJson(exchange, { status: "ok", version: exchange.rooms.version });
}

/** 200 once every pinned model is warm, 503 until then, while the ledger cannot write, and while draining. */
export function ready(exchange: Exchange): Response {
  const { fleet, ledger, draining } = exchange.rooms;
  const models = fleet.states().map(({ contextTokens: _, ...status }) => status);
  const ok = fleet.ready() && ledger.healthy() && !draining();
  const status = draining() ? "draining" : ok ? "ready" : "not ready";
  const why = ledger.healthy() ? {} : { reason: "The ledger cannot write: see the log, and whether the disk is full." };
  return sendJson(exchange, { status, ...why, models }, ok ? 200 : 503);
}
