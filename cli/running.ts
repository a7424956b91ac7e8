// The server that runs on a home, as a command beside it can know it.

import { type Note, readNote, type TableName } from "../server/reload.ts";
import { serverOn } from "../server/store/store.ts";
import { CommandError, EXIT } from "./exit.ts";
import { say } from "./output.ts";

/** What the running server says about its plans; null when none runs, or it has only begun to start. */
export function runningPlans(home: string): { plans: string[] } | null {
  const note = serverOn(home) === null ? null : readNote(home, "plans");
  return note && { plans: note.inForce };
}

/**
 * Has the running server read a table again, and waits until it has. It reads them all: says so when another one is broken.
 * @throws CommandError when no server runs, it does not answer, or the old table stays in force
 */
export async function reloadTable(home: string, table: TableName): Promise<Note & { pid: number }> {
  const pid = serverOn(home);
  if (pid === null) {
    throw new CommandError(
      `No server runs on the home ${home}. It reads ${NAMES[table]} when it starts.`,
      EXIT.unreachable,
    );
  }
  const asked = Date.now();
  process.kill(pid, "SIGHUP");
  for (const until = performance.now() + ANSWER_MS_MAX; performance.now() < until; await Bun.sleep(POLL_MS)) {
    const note = readNote(home, table);
    // A reading that began before we asked may have seen an older file.
    if (note === null || note.at < asked) continue;
    for (const { table: other, error } of note.others) say(`Beside it, ${standing(other)}: ${error}`);
    if (note.error === null) return { pid, ...note };
    throw new CommandError(`${capital(standing(table))}: ${note.error}`);
  }
  throw new CommandError(
    `The server (pid ${pid}) has not said within ${ANSWER_MS_MAX / 1000} s how it went: see its log.`,
  );
}

const NAMES: Record<TableName, string> = {
  plans: "the plans",
  engines: "the engines",
  traffic: "the table of traffic",
};

function standing(table: TableName): string {
  return `${NAMES[table]} of before ${table === "traffic" ? "stays" : "stay"} in force`;
}

function capital(text: string): string {
  return text[0]!.toUpperCase() + text.slice(1);
}

const ANSWER_MS_MAX = 10_000;
const POLL_MS = 20;
