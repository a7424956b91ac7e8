// The thread that writes the ledger. A durable commit blocks its thread for as long as the disk takes, so it is this one
// and not the one that answers requests. It is drained and told to close, never terminated.

import type { Database } from "bun:sqlite";
import { createEvents } from "./events.ts";
import { type FromWriter, type Packed, type ToWriter, troubleOf, unpack } from "./protocol.ts";
import { openToWrite } from "./schema.ts";

declare const self: Worker;

const IDLE_MS = 1_000;

let db: Database;
let events: ReturnType<typeof createEvents>;
let idle: Timer | undefined;

self.onmessage = ({ data }: MessageEvent<Packed<ToWriter>>) => {
  let answer: FromWriter;
  try {
    answer = obey(unpack(data));
  } catch (error) {
    answer = { kind: "failed", trouble: troubleOf(error) };
  }
  postMessage(JSON.stringify(answer) satisfies Packed<FromWriter>);
};

function obey(message: ToWriter): FromWriter {
  clearTimeout(idle);
  if (message.kind === "open") {
    db = openToWrite(message.home);
    events = createEvents(db);
    return { kind: "opened", state: events.recover(message.epoch, message.at) };
  }
  if (message.kind === "close") {
    checkpoint("TRUNCATE");
    db.close();
    self.onmessage = null;
    return { kind: "closed" };
  }
  if (message.probe) {
    // What is in the log may fit into the file's free pages, and the log start over in the space that it has.
    checkpoint("PASSIVE");
    events.probe();
  }
  const results = events.commit(message.ops, message.at);
  idle = setTimeout(() => checkpoint("PASSIVE"), IDLE_MS);
  return { kind: "committed", results };
}

/** Moves the log into the file. That there is no room to do so loses nothing: the log has it. */
function checkpoint(mode: "PASSIVE" | "TRUNCATE"): void {
  try {
    db.run(`PRAGMA wal_checkpoint(${mode})`);
  } catch {
    // The next one will, or the next start.
  }
}
