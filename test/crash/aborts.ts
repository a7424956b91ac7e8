// After callers have hung up at any byte: is anything still held on their behalf? Asked from outside: as many streams as
// there are slots, and as many as the plan allows at once, must run side by side, and not one more.

import { adminPlan, dataWith, simulatorAlone } from "../data.ts";
import { KEY, startServer } from "../harness.ts";
import { HELLO, MODEL } from "../suite.ts";
import { hangUpAtRandom } from "./hang-up.ts";

/** Slots of the engine, and calls at the same time that the plan allows. */
const SLOTS = 48;
/** Fewer than slots: whoever is refused among these finds one taken by somebody who has left. */
const CALLERS = 32;

export interface AbortReport {
  /** Slots or places of the plan that nobody could have any more. */
  held: number;
  /** Whether one call more than there are places is refused: else the first number says nothing. */
  bounded: boolean;
}

export async function abortAtRandom(count: number, random: () => number): Promise<AbortReport> {
  const data = dataWith(
    (table) => {
      simulatorAlone(table);
      table.engines.simulator!.slots = SLOTS;
    },
    adminPlan({ concurrencyMax: SLOTS }),
  );
  const server = await startServer({
    simulate: true,
    env: { OXBOW_DATA: data.folder, OXBOW_QUEUE_WAIT_MS_MAX: "2000" },
  });
  try {
    await hangUpAtRandom({ port: server.port, count, parallel: CALLERS, random });
    await Bun.sleep(500); // the server hears of the last ones a moment later
    const leaving = new AbortController();
    const open = async () => {
      const response = await fetch(`http://127.0.0.1:${server.port}/v1/chat/completions`, {
        method: "POST",
        headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
        body: JSON.stringify({
          model: MODEL,
          messages: HELLO,
          stream: true,
          x_simulate: { tokens: 100, itlMs: 1_000 },
        }),
        signal: leaving.signal,
      });
      return response.status;
    };
    const statuses = await Promise.all(Array.from({ length: SLOTS }, open));
    const oneMore = await open();
    leaving.abort();
    return { held: statuses.filter((status) => status !== 200).length, bounded: oneMore === 429 };
  } finally {
    await server.stop();
    data.remove();
  }
}
