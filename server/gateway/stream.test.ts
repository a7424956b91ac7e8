import { expect, test } from "bun:test";
import { ApiError, type ErrorBody, RelayedError } from "@oxbow/contract";
import type { EventStream, Frame } from "../fleet/fleet.ts";
import { createExchange } from "./exchange.ts";
import type { Beat } from "./pulse.ts";
import type { Rooms } from "./rooms.ts";
import { sendStream } from "./stream.ts";

const encoder = new TextEncoder();
const LIMITS = { keepaliveMs: 10, firstTokenMsMax: 100, chunkGapMsMax: 50, slowReaderMsMax: 60 };

/** A stream under test: an engine that speaks when told, a clock that moves when told, and the caller's end of it. */
function setUp(errorEvent?: (body: ErrorBody) => string) {
  let clock = 0;
  const beats = new Set<Beat>();
  const pulse = {
    now: () => clock,
    add: (beat: Beat) => beats.add(beat),
    remove: (beat: Beat) => beats.delete(beat),
    stop: () => {},
  };
  const caller = new AbortController();
  const request = new Request("http://x/v1/chat/completions", { method: "POST", signal: caller.signal });
  const log = { info: () => {}, warn: () => {}, error: () => {} };
  const exchange = createExchange(
    request,
    "/v1/chat/completions",
    { limits: LIMITS, pulse, log } as unknown as Rooms,
    () => {},
  );

  let speak!: (frame: Frame | null) => void;
  let breakOff!: (error: unknown) => void;
  const next = () =>
    new Promise<Frame | null>((resolve, reject) => {
      speak = resolve;
      breakOff = reject;
    });
  const seen = { cancelled: 0 };
  const events: EventStream = { next, cancel: () => void seen.cancelled++ };
  const response = sendStream(exchange, events, {}, errorEvent);
  const reader = response.body!.getReader();
  return {
    response,
    seen,
    caller,
    beats,
    say: (text: string, last = false) => speak({ bytes: encoder.encode(text), last, error: null }),
    breakOff: (error: unknown) => breakOff(error),
    read: async () => {
      const { value, done } = await reader.read();
      return done ? null : new TextDecoder().decode(value);
    },
    hangUp: () => reader.cancel(),
    pass: (ms: number) => {
      clock += ms;
      for (const beat of [...beats]) beat.onTick(clock - beat.lastMs);
    },
  };
}
const settled = () => Bun.sleep(0);

test("events pass as they are, and after the last one the slot is free", async () => {
  const stream = setUp();
  const first = stream.read();
  await settled();
  stream.say("data: 1\n\n");
  expect(await first).toBe("data: 1\n\n");
  const second = stream.read();
  await settled();
  stream.say("data: [DONE]\n\n", true);
  expect(await second).toBe("data: [DONE]\n\n");
  expect(await stream.read()).toBeNull();
  expect(stream.seen.cancelled).toBe(1);
  expect(stream.beats.size).toBe(0);
});

test("while the engine is silent, comments keep the caller waiting", async () => {
  const stream = setUp();
  const first = stream.read();
  await settled();
  stream.pass(9);
  stream.pass(1);
  expect(await first).toBe(": keepalive\n");
  const second = stream.read();
  await settled();
  stream.pass(10);
  expect(await second).toBe(": keepalive\n");
  expect(stream.seen.cancelled).toBe(0);
});

test("an engine that never begins is given up with an error event, and no [DONE]", async () => {
  const stream = setUp();
  const first = stream.read();
  await settled();
  stream.pass(101);
  expect(await first).toContain('"code":"engine_timeout"');
  expect(await stream.read()).toBeNull();
  expect(stream.seen).toEqual({ cancelled: 1 });
});

test("an engine that stops in the middle is given up after the shorter bound for gaps", async () => {
  const stream = setUp();
  const first = stream.read();
  await settled();
  stream.say("data: 1\n\n");
  await first;
  const second = stream.read();
  await settled();
  stream.pass(51);
  expect(await second).toContain('"code":"engine_timeout"');
  expect(stream.seen.cancelled).toBe(1);
});

test("an engine that dies is told in the stream, in the engine's words if it had any", async () => {
  for (const [error, code] of [
    [new ApiError("engine_interrupted", "gone"), "engine_interrupted"],
    [new RelayedError(500, { error: { message: "m", type: "t", param: null, code: "theirs" } }), "theirs"],
    [new Error("a bug"), "internal_error"],
  ] as const) {
    const stream = setUp();
    const first = stream.read();
    await settled();
    stream.breakOff(error);
    const text = await first;
    expect(text).toStartWith("data: ");
    expect(JSON.parse(text!.slice(6)).error.code).toBe(code);
    expect(await stream.read()).toBeNull();
    expect(stream.seen.cancelled).toBe(1);
  }
});

test("a caller who stops reading is cut off, one who waits for the engine is not", async () => {
  const stream = setUp();
  const first = stream.read();
  await settled();
  stream.say("data: 1\n\n");
  await first;
  await settled();
  stream.pass(60);
  expect(stream.seen.cancelled).toBe(0);
  stream.pass(1);
  expect(stream.seen).toEqual({ cancelled: 1 });
});

test("hanging up frees the slot once, whichever way it is noticed", async () => {
  for (const way of ["abort", "cancel", "both"]) {
    const stream = setUp();
    const first = stream.read().catch(() => null);
    await settled();
    if (way !== "cancel") stream.caller.abort();
    if (way !== "abort") await stream.hangUp();
    stream.say("data: late\n\n");
    if (way === "cancel") await first;
    await settled();
    expect(stream.seen).toEqual({ cancelled: 1 });
    expect(stream.beats.size).toBe(0);
  }
});

test("an endpoint with errors of its own form writes them itself", async () => {
  const stream = setUp(({ error }) => `event: failed\ndata: "${error.code}"\n\n`);
  const first = stream.read();
  await settled();
  stream.breakOff(new ApiError("engine_interrupted", "gone"));
  expect(await first).toBe('event: failed\ndata: "engine_interrupted"\n\n');
  expect(await stream.read()).toBeNull();
});
