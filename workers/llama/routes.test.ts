// The worker's HTTP side in this process, where the engine can be made to misbehave.

import { afterAll, expect, test } from "bun:test";
import { join } from "node:path";
import type { ErrorBody, WorkerModel } from "@oxbow/contract";
import { serve } from "@oxbow/worker";
import { tinyScripted } from "./fixtures.ts";
import type { Host } from "./host.ts";
import type { Native, NativeContext } from "./native.ts";
import { openRoutes } from "./routes.ts";
import { createScheduler } from "./scheduler.ts";
import { loadHere, temporaryDirectory } from "./testing.ts";

const directory = temporaryDirectory();
afterAll(directory.remove);

/** A served model whose engine decodes by way of `decode`. Returns a function that asks it for a stream. */
async function serveWith(decode: (context: NativeContext) => Promise<void>) {
  const loaded = await loadHere(tinyScripted(directory.path), 1, 256);
  const { context } = loaded.native;
  const native: Native = { ...loaded.native, context: { ...context, decode: () => decode(context) } };
  const model: WorkerModel = { id: "test", aliases: [], category: "chat", capabilities: [], contextTokens: 256 };
  const socket = join(directory.path, `s${Math.random().toString(36).slice(2, 10)}.sock`);
  const scheduler = createScheduler(native, {
    slots: 1,
    contextTokens: 256,
    batchTokens: 64,
    waitingMax: 1,
    onBroken: () => {},
  });
  const lines: string[] = [];
  const log = (line: string) => lines.push(line);
  const host: Host = { model, loaded, scheduler, slots: 1, randomSeed: () => 1, log };
  serve({ socket, model, program: "llama", log }).open(openRoutes(host));
  const ask = () =>
    fetch("http://worker/v1/chat/completions", {
      method: "POST",
      body: JSON.stringify({
        model: "test",
        messages: [{ role: "user", content: "Hi" }],
        temperature: 0,
        stream: true,
      }),
      unix: socket,
    });
  return { ask, lines };
}

test("a stream may be silent for longer than the server's usual patience of ten seconds", async () => {
  let steps = 0;
  const { ask } = await serveWith(async (context) => {
    if (++steps === 3) await Bun.sleep(SILENCE_MS);
    await context.decode();
  });
  const text = await (await ask()).text();
  expect(text).toEndWith("data: [DONE]\n\n");
}, 20_000);
/** The server looks every few seconds: eleven were enough to be cut. */
const SILENCE_MS = 12_000;

test("an engine that fails at once is an error with its own status, one that fails later an event in the stream", async () => {
  let failing = 1;
  let steps = 0;
  const { ask, lines } = await serveWith((context) => {
    steps++;
    return steps === failing ? Promise.reject(new Error("Eval has failed")) : context.decode();
  });
  const atOnce = await ask();
  expect(atOnce.status).toBe(502);
  expect(((await atOnce.json()) as ErrorBody).error.code).toBe("engine_failed");
  failing = steps + 4;
  const later = await ask();
  expect(later.status).toBe(200);
  const events = (await later.text()).trimEnd().split("\n\n");
  expect(JSON.parse(events.at(-1)!.slice("data: ".length)).error.code).toBe("engine_failed");
  expect(events.some((event) => event.includes('"content":"Hello"'))).toBe(true);
  expect(events.some((event) => event.includes('"finish_reason":"'))).toBe(false);
  // The next call finds the engine as it was.
  expect(await (await ask()).text()).toContain(" today");
  expect(lines).toEqual(["engine_failed: Error: Eval has failed", "engine_failed: Error: Eval has failed"]);
});
