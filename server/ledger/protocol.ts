// What is said between the ledger and its two threads.

import type { Op, State } from "./events.ts";
import type { Queries } from "./queries.ts";

export type ToWriter =
  | { kind: "open"; home: string; epoch: string; at: number }
  /** @property probe there was no room when it was tried last */
  | { kind: "commit"; ops: Op[]; at: number; probe: boolean }
  | { kind: "close" };

/** As it travels: text where it can, because a thread takes a text in a third of the time that an object takes. */
export type Packed<Message> = Message | string;

/** A batch as a text, unless answers ride with it: their bytes go as they are. */
export function packBatch(batch: ToWriter & { kind: "commit" }): Packed<ToWriter> {
  return batch.ops.some((op) => op.kind === "settle" && op.answer) ? batch : JSON.stringify(batch);
}

export function unpack<Message>(packed: Packed<Message>): Message {
  return typeof packed === "string" ? (JSON.parse(packed) as Message) : packed;
}

export type FromWriter =
  | { kind: "opened"; state: State }
  | { kind: "committed"; results: number[] }
  | { kind: "failed"; trouble: Trouble }
  | { kind: "closed" };

/** An error that has to cross from one thread to another. */
export interface Trouble {
  name: string;
  message: string;
  code: string;
}

export type QueryName = keyof Queries;

export interface ToReader {
  id: number;
  home: string;
  /** null: close, there will be no more. */
  query: QueryName | null;
  args: unknown[];
}

export type FromReader = { id: number; value: unknown } | { id: number; trouble: Trouble };

export function troubleOf(error: unknown): Trouble {
  if (!(error instanceof Error)) return { name: "Error", message: String(error), code: "" };
  const code = "code" in error && typeof error.code === "string" ? error.code : "";
  return { name: error.name, message: error.message, code };
}

export function errorOf({ name, message, code }: Trouble): Error {
  return Object.assign(new Error(message), { name, code });
}
