// GET /metrics: numbers for the operator's Prometheus, which can send a bearer token. They name models, plans and engines, so
// they are not for every caller: a token of their own opens them and nothing else, or a key of an admin account does.

import { timingSafeEqual } from "node:crypto";
import { ApiError, unknownUrl } from "@oxbow/contract";
import { answerHeaders, type Exchange, identify } from "../exchange.ts";

/** @throws ApiError `missing_api_key`, `invalid_api_key`, `insufficient_permissions`, `unknown_url` where they are off */
export async function metrics(exchange: Exchange): Promise<Response> {
  const { metrics } = exchange.rooms;
  checkAccess(exchange);
  const text = await metrics.render();
  return new Response(text, { headers: answerHeaders(exchange, { "content-type": metrics.contentType }) });
}

function checkAccess(exchange: Exchange): void {
  const { access, token } = exchange.rooms.metrics;
  if (access === "open") return;
  if (access === "off") throw unknownUrl("GET", "/metrics");
  const sent = /^bearer +(\S+)\s*$/i.exec(exchange.request.headers.get("authorization") ?? "")?.[1];
  if (sent !== undefined && token !== undefined && isEqual(sent, token)) return;
  if (identify(exchange).role === "admin") return;
  throw new ApiError("insufficient_permissions", "Only a key of an admin account may read the metrics.");
}

/** In a time that does not tell how much of it was right. */
function isEqual(one: string, other: string): boolean {
  const [a, b] = [one, other].map((text) => new Bun.CryptoHasher("sha256").update(text).digest());
  return timingSafeEqual(a!, b!);
}
