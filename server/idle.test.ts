// A server on loopback with a short idle time-out, and callers who keep their connection and say nothing more.

import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { connect } from "node:net";
import { createKeepOpen, type Lift } from "./gateway/keep-open.ts";
import { listen } from "./listen.ts";

setDefaultTimeout(60_000);

/** The server looks every four seconds: less could be over at once. */
const IDLE_S = 5;
const keepOpen = createKeepOpen(10);
/** Beyond the time-out, however late that is noticed. */
const LONG_MS = 10_000;
const BIG = new Uint8Array(64 * 1024 * 1024);

async function handle(request: Request, lift: Lift): Promise<Response> {
  keepOpen.add(lift);
  await Bun.sleep(LONG_MS);
  if (new URL(request.url).pathname === "/stream") {
    const pull = async (controller: ReadableStreamDefaultController<Uint8Array>) => {
      await Bun.sleep(100);
      controller.enqueue(new Uint8Array(10));
      controller.close();
      keepOpen.remove(lift);
    };
    return new Response(new ReadableStream({ pull }, { highWaterMark: 0 }));
  }
  keepOpen.remove(lift);
  return new Response(BIG);
}

const server = listen({ host: "127.0.0.1", port: 0 }, handle, IDLE_S);
afterAll(() => {
  keepOpen.stop();
  return server.stop(true);
});

/** Calls, and fetches no more than `bytesMax` of the answer. @returns the bytes that had come when the server cut him off */
function call(path: string, bytesMax: number): Promise<number> {
  return new Promise((resolve) => {
    const socket = connect(server.port!, "127.0.0.1");
    let bytes = 0;
    socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`);
    socket.on("data", (piece: Buffer) => {
      bytes += piece.length;
      if (bytes >= bytesMax) socket.pause();
    });
    socket.on("error", () => {}); // reset is cut off, too
    socket.on("close", () => resolve(bytes));
    // Who has paused hears of it when he reads on.
    const asking = setInterval(() => server.pendingRequests === 0 && socket.resume(), 100);
    socket.on("close", () => clearInterval(asking));
  });
}

test.concurrent.each([
  ["/stream", 10],
  ["/whole", BIG.length],
] as const)("a long call is not cut, and its connection is once it says nothing more: %s", async (path, bytes) => {
  expect(await call(path, Number.POSITIVE_INFINITY)).toBeGreaterThan(bytes);
});

test.concurrent("an answer that nobody fetches does not stay for ever", async () => {
  const bytes = await call("/whole", 1_000);
  expect(bytes).toBeGreaterThan(1_000);
  expect(bytes).toBeLessThan(BIG.length);
});
