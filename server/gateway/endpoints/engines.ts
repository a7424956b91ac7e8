// GET /v1/engines: every engine and how it stands, for the operator.

import { ApiError, type EngineList, type EngineObject } from "@oxbow/contract";
import type { EngineView } from "../../fleet/fleet.ts";
import { type Exchange, identify, sendJson } from "../exchange.ts";

/** @throws ApiError `insufficient_permissions` for a key of an account that is not the operator's */
export function engines(exchange: Exchange): Response {
  if (identify(exchange).role !== "admin") {
    throw new ApiError("insufficient_permissions", "Only a key of an admin account may see the engines.");
  }
  return sendJson(exchange, {
    object: "list",
    data: exchange.rooms.fleet.engines().map(objectOf),
  } satisfies EngineList);
}

function objectOf({ load, ...engine }: EngineView): EngineObject {
  return {
    ...engine,
    object: "engine",
    load: load && { running: load.running, waiting: load.waiting, kv_usage: load.kvUsage },
  };
}
