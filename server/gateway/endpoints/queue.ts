// GET /v1/queue: who waits for which model, for the operator. Other callers learn nothing of each other here.

import { ApiError } from "@oxbow/contract";
import { type Exchange, identify, sendJson } from "../exchange.ts";

/** @throws ApiError `insufficient_permissions` for a key of an account that is not the operator's */
export function queue(exchange: Exchange): Response {
  if (identify(exchange).role !== "admin") {
    throw new ApiError("insufficient_permissions", "Only a key of an admin account may see who waits.");
  }
  const data = exchange.rooms.admission.queues().map(({ model, classes }) => ({ id: model, object: "queue", classes }));
  return sendJson(exchange, { object: "list", data });
}
