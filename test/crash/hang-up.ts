// Callers without manners: they hang up at any byte, while they ask and while they are answered.

import { connect } from "node:net";
import { KEY } from "../harness.ts";
import { HELLO, MODEL } from "../suite.ts";

/** Numbers from 0 up to 1, the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface HangUpOptions {
  port: number;
  count: number;
  /** Callers at the same time. */
  parallel: number;
  random: () => number;
}

/** Sends `count` calls, half of them streams, and hangs up on each at a random byte. */
export async function hangUpAtRandom({ port, count, parallel, random }: HangUpOptions): Promise<void> {
  let left = count;
  await Promise.all(
    Array.from({ length: parallel }, async () => {
      while (left-- > 0) await hangUp(port, random);
    }),
  );
}

function hangUp(port: number, random: () => number): Promise<void> {
  const simulate = { tokens: 1 + Math.floor(random() * 20), ttftMs: random() * 5, itlMs: random() * 2 };
  const body = JSON.stringify({ model: MODEL, messages: HELLO, stream: random() < 0.5, x_simulate: simulate });
  const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${KEY}\r\ncontent-type: application/json\r\n`;
  const bytes = `${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
  // One in five does not even finish asking. An answer has about five thousand bytes.
  const asked = random() < 0.2 ? Math.floor(random() * bytes.length) : bytes.length;
  let wanted = Math.floor(random() ** 2 * 5_000);

  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.setTimeout(2_000, () => socket.destroy()); // a short answer never has the bytes that are waited for
    socket.on("connect", () => {
      socket.write(bytes.slice(0, asked), () => {
        if (asked < bytes.length || wanted === 0) socket.destroy();
      });
    });
    socket.on("data", (piece: Buffer) => {
      wanted -= piece.length;
      if (wanted <= 0 || piece.includes("[DONE]\n\n") || piece.includes('_fingerprint":"fp_simulated"}'))
        socket.destroy();
    });
    socket.on("error", () => {}); // reset by the server: gone is gone
    socket.on("close", () => resolve());
  });
}
