// GET /health: is the process alive. GET /ready: can it answer, model by model. Neither wants a key.

import { type Exchange, sendJson } from "../exchange.ts";

export function health(exchange: Exchange): Response {
  return sendJson(exchange, { status: "ok", version: exchange.rooms.version });
}

/** 200 once every pinned model is warm, 503 until then and while draining. */
export function ready(exchange: Exchange): Response {
  const { fleet, draining } = exchange.rooms;
  const models = fleet.states();
  const ok = fleet.ready() && !draining();
  const status = draining() ? "draining" : ok ? "ready" : "not ready";
  return sendJson(exchange, { status, models }, ok ? 200 : 503);
}
