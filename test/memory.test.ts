// What a stream keeps in memory while it lasts: its place, and nothing of the prompt. A chat of many thousand words that is
// answered for minutes must not take its size for as long.

import { afterAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dataWith, simulatorAlone } from "./data.ts";
import { eventually, KEY } from "./harness.ts";
import { HELLO, MODEL, useServer } from "./suite.ts";

const data = dataWith(simulatorAlone);
afterAll(data.remove);
const server = useServer({ simulate: true, env: { OXBOW_DATA: data.folder } });

const STREAMS = 40;
const PROMPT_BYTES = 2_000_000;
/** As bytes and as text: what all of them would keep. */
const ALL_BYTES = 2 * STREAMS * PROMPT_BYTES;

/** Memory of its own that the server holds. */
const heldBytes = () =>
  1024 * Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${server().pid}/status`, "utf8"))?.[1]);

test("40 streams with prompts of 2 MB do not hold on to them", async () => {
  const caller = new AbortController();
  const open = async () => {
    const response = await fetch(`http://127.0.0.1:${server().port}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
      // A field of which nobody counts the tokens: an engine's own, passed on as it came.
      body: JSON.stringify({
        model: MODEL,
        messages: HELLO,
        stream: true,
        own: crypto.randomUUID() + "a".repeat(PROMPT_BYTES),
        x_simulate: { tokens: 100, itlMs: 20_000 },
      }),
      signal: caller.signal,
    });
    expect(response.status).toBe(200);
    await response.body!.getReader().read();
  };
  const before = heldBytes();
  try {
    for (let count = 0; count < STREAMS; count++) await open();
    // Collected as other calls come, and given back to the system some time after.
    const quiet = async () => {
      await (await fetch(`http://127.0.0.1:${server().port}/health`)).text();
      return heldBytes() - before < ALL_BYTES / 3;
    };
    await eventually(quiet, "what the prompts took is given back", 50_000);
  } finally {
    caller.abort();
  }
}, 90_000);
