// The server that runs on a home, as a command beside it can know it.

import { type PlansNote, readPlansNote } from "../server/reload.ts";
import { serverOn } from "../server/store/store.ts";
import { CommandError, EXIT } from "./exit.ts";

/** What the running server says about its plans; null when none runs, or it has only begun to start. */
export function runningPlans(home: string): PlansNote | null {
  return serverOn(home) === null ? null : readPlansNote(home);
}

/**
 * Has the running server read its plans again, and waits until it has.
 * @throws CommandError when no server runs, it does not answer, or the old plans stay in force
 */
export async function reloadPlans(home: string): Promise<PlansNote & { pid: number }> {
  const pid = serverOn(home);
  if (pid === null) {
    const text = `No server runs on the home ${home}. It reads the plans when it starts.`;
    throw new CommandError(text, EXIT.unreachable);
  }
  const asked = Date.now();
  process.kill(pid, "SIGHUP");
  for (const until = performance.now() + ANSWER_MS_MAX; performance.now() < until; await Bun.sleep(POLL_MS)) {
    const note = readPlansNote(home);
    // A reading that began before we asked may have seen an older file.
    if (note === null || note.at < asked) continue;
    if (note.error === null) return { pid, ...note };
    throw new CommandError(`The plans of before stay in force: ${note.error}`);
  }
  throw new CommandError(
    `The server (pid ${pid}) has not said within ${ANSWER_MS_MAX / 1000} s how it went: see its log.`,
  );
}

const ANSWER_MS_MAX = 10_000;
const POLL_MS = 20;
