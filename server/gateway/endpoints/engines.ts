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

function objectOf({ url, reason, accounts, load, ...engine }: EngineView): EngineObject {
  return {
    id: engine.id,
    object: "engine",
    kind: engine.kind,
    ...(url !== undefined && { url }),
    models: engine.models,
    state: engine.state,
    ...(reason !== undefined && { reason }),
    slots: engine.slots,
    used: engine.used,
    weight: engine.weight,
    share: engine.share,
    ejections: engine.ejections,
    tags: engine.tags,
    ...(accounts !== undefined && { accounts }),
    load: load && { running: load.running, waiting: load.waiting, kv_usage: load.kvUsage },
  };
}
