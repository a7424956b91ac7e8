// GET /v1/engines: every engine and how it stands, for the operator.

import { ApiError } from "@oxbow/contract";
import { type Exchange, identify, sendJson } from "../exchange.ts";

/** @throws ApiError `insufficient_permissions` for a key of an account that is not the operator's */
export function engines(exchange: Exchange): Response {
  if (identify(exchange).role !== "admin") {
    throw new ApiError("insufficient_permissions", "Only a key of an admin account may see the engines.");
  }
  const data = exchange.rooms.fleet.engines().map(({ load, ...engine }) => ({
    ...engine,
    object: "engine",
    load: load && { running: load.running, waiting: load.waiting, kv_usage: load.kvUsage },
  }));
  return sendJson(exchange, { object: "list", data });
}
