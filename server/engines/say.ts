// A call in the words of a remote engine: its name for the model, its fields and roles, who goes first in its own
// polarity, and a wish for the token counts that streams keep to themselves unless asked.

import { renameModel } from "@oxbow/contract";
import type { PriorityRule, RemoteKind } from "../config.ts";
import { CALL_REPAIRS } from "./call-repairs.ts";
import type { Json } from "./json.ts";
import type { Said } from "./said.ts";
import type { SendOptions } from "./send-options.ts";
import { chosen } from "./tool-choice.ts";

export interface Speech {
  remote: RemoteKind;
  names: ReadonlyMap<string, string>;
  /** The first goes first. */
  classes: readonly string[];
  prioritySupported: boolean;
}

/** @throws ApiError `unsupported_value` for a choice of tools that the engine would ignore */
export function say(path: string, body: Uint8Array, options: SendOptions, speech: Speech): Said {
  const { remote, names } = speech;
  const model = options.model ?? null;
  const name = model === null ? null : (names.get(model) ?? model);
  const headers = headersOf(remote, options);
  const asked = (options.contentType ?? "application/json").startsWith("application/json") ? parse(body) : null;
  const stream = asked?.stream === true;
  const wish = asked?.stream_options as { include_usage?: unknown } | null | undefined;
  const said = { path, headers, model, name, asked, stream, wantsUsage: wish?.include_usage === true };
  if (asked === null) return { ...said, body: name === null ? body : renameModel(body, name) };

  const changes: Json = {};
  for (const field of remote.privateFields) if (asked[field] !== undefined) changes[field] = undefined;
  Object.assign(changes, priorityOf(speech, options.priority), tenantOf(remote, options.tenant));
  if (name !== null && asked.model !== name) changes.model = name;
  if (stream && !said.wantsUsage && remote.usage === "asked" && TELLS_USAGE.has(path)) {
    changes.stream_options = { ...wish, include_usage: true };
  }
  for (const [ours, theirs] of Object.entries(remote.rename)) {
    if (asked[ours] === undefined) continue;
    changes[ours] = undefined;
    changes[theirs] ??= asked[ours];
  }
  Object.assign(changes, chosen(asked, remote.toolChoices));
  for (const name of remote.callRepairs) Object.assign(changes, CALL_REPAIRS[name]!.changes({ ...asked, ...changes }));
  const messages = rolesOf(changes.messages ?? asked.messages, remote.roles);
  if (messages !== null) changes.messages = messages;
  if (Object.keys(changes).length === 0) return { ...said, body };
  return { ...said, body: new TextEncoder().encode(JSON.stringify({ ...asked, ...changes })) };
}

/** Endpoints with `stream_options`. */
const TELLS_USAGE = new Set(["/v1/chat/completions", "/v1/completions"]);

function parse(body: Uint8Array): Json | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.length).toString());
    return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Json) : null;
  } catch {
    return null; // goes out as it is: the engine will say what is wrong with it
  }
}

function headersOf({ priority, tenant }: RemoteKind, options: SendOptions): Record<string, string> {
  const headers: Record<string, string> = {};
  if (priority?.header && options.priority !== undefined) {
    headers[priority.header] = (priority.prefix ?? "") + options.priority;
  }
  if (tenant?.header && options.tenant !== undefined) headers[tenant.header] = options.tenant;
  return headers;
}

function tenantOf({ tenant }: RemoteKind, account: string | undefined): Json {
  return tenant?.field && account !== undefined ? { [tenant.field]: account } : {};
}

function priorityOf({ remote, classes, prioritySupported }: Speech, classId: string | undefined): Json {
  const rule = remote.priority;
  const rank = classId === undefined ? -1 : classes.indexOf(classId);
  if (!rule?.field || !prioritySupported || rank < 0) return {};
  return { [rule.field]: numberOf(rule, rank, classes.length) };
}

/** @param rank 0 goes first */
function numberOf({ order, step }: PriorityRule, rank: number, classes: number): number {
  return step * (order === "low_first" ? rank : classes - 1 - rank);
}

/** Null: no message has a role that is called otherwise. */
function rolesOf(messages: unknown, roles: Record<string, string>): unknown[] | null {
  if (!Array.isArray(messages) || Object.keys(roles).length === 0) return null;
  let changed = false;
  const renamed = messages.map((message: Json | null) => {
    const role = typeof message?.role === "string" && Object.hasOwn(roles, message.role) ? roles[message.role] : null;
    if (role === null) return message;
    changed = true;
    return { ...message, role };
  });
  return changed ? renamed : null;
}
