import { expect, test } from "bun:test";
import { ApiError, RelayedError } from "@oxbow/contract";
import type { Frame } from "../fleet/fleet.ts";
import { createExchange } from "./exchange.ts";
import type { Beat } from "./pulse.ts";
import type { Rooms } from "./rooms.ts";
import type { Settlement } from "./settle.ts";
import { bytesWire, type Course, sendStream, type Translation } from "./stream.ts";

const encoder = new TextEncoder();
const LIMITS = { keepaliveMs: 10, firstTokenMsMax: 100, chunkGapMsMax: 50, slowReaderMsMax: 60 };

/** A stream under test: an engine that speaks when told, a clock that moves when told, and the caller's end of it. */
function setUp({
  choices = 1,
  keeps = false,
  contentType = "",
  translation = undefined as Translation | undefined,
} = {}) {
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
  const exchange = createExchange(request, "/v1/chat/completions", { limits: LIMITS, pulse, log } as unknown as Rooms);

  let speak!: (frame: Frame | null) => void;
  let breakOff!: (error: unknown) => void;
  const next = () =>
    new Promise<Frame | null>((resolve, reject) => {
      speak = resolve;
      breakOff = reject;
    });
  const seen = { cancelled: 0 };
  /** What became of the call, as the ledger would be told. */
  const told: unknown[] = [];
  const written = Promise.withResolvers<void>();
  let open = true;
  const tell = (...what: unknown[]) => {
    if (open) told.push(...what);
    open = false;
  };
  const settlement: Settlement = {
    keeps,
    began: () => {},
    firstToken: () => {},
    complete: (usage, answer) => {
      tell("complete", usage, answer && new TextDecoder().decode(answer.bytes));
      return written.promise;
    },
    cancelled: (tokenSent) => tell("cancelled", tokenSent),
    failed: () => tell("failed"),
  };
  const cancel = (tokenSent: boolean) => {
    seen.cancelled++;
    settlement.cancelled(tokenSent);
  };
  const course: Course = { next, cancel, settlement: () => settlement };
  const wire = contentType ? { wire: bytesWire(contentType) } : {};
  const response = sendStream(exchange, course, {}, { choices, translation, ...wire });
  const reader = response.body!.getReader();
  return {
    response,
    seen,
    told,
    written,
    caller,
    beats,
    say: (text: string, more: Partial<Frame> = {}) =>
      speak({ bytes: encoder.encode(text), finishes: 0, last: false, error: null, usage: null, ...more }),
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
  stream.written.resolve();
  const first = stream.read();
  await settled();
  stream.say("data: 1\n\n");
  expect(await first).toBe("data: 1\n\n");
  const second = stream.read();
  await settled();
  stream.say("data: [DONE]\n\n", { last: true });
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

const USAGE = { prompt_tokens: 2, completion_tokens: 1 };

/** Reads the next piece after the engine has said these, one by one. */
async function readAfter(stream: ReturnType<typeof setUp>, says: [text: string, more?: Partial<Frame>][]) {
  const piece = stream.read();
  for (const [text, more] of says) {
    await settled();
    stream.say(text, more);
  }
  await settled();
  return piece;
}
const TOKEN = 'data: {"delta":{"content":"x"}}\n\n';
const ROLE = 'data: {"delta":{"role":"assistant","content":""}}\n\n';

test("from the finish of the last choice on everything waits for the ledger, and comes as it was", async () => {
  const stream = setUp({ choices: 2 });
  expect(await readAfter(stream, [["data: 1\n\n", { finishes: 1 }]])).toBe("data: 1\n\n");
  let seen: string | null = null;
  const rest = stream.read().then((text) => {
    seen = text;
  });
  await settled();
  stream.say("data: 2\n\n", { finishes: 1 });
  await settled();
  stream.say("data: usage\n\n");
  await settled();
  expect(stream.told).toEqual([]);
  stream.say("data: [DONE]\n\n", { last: true, usage: USAGE });
  await settled();
  expect(stream.told).toEqual(["complete", USAGE, null]);
  expect(seen).toBeNull();
  stream.written.resolve();
  await rest;
  expect(seen!).toBe("data: 2\n\ndata: usage\n\ndata: [DONE]\n\n");
  expect(await stream.read()).toBeNull();
});

test("an answer that the ledger cannot write does not end: an error stands in place of its finish", async () => {
  const stream = setUp();
  expect(await readAfter(stream, [[TOKEN]])).toBe(TOKEN);
  const rest = stream.read();
  await settled();
  stream.say("data: 2\n\ndata: [DONE]\n\n", { finishes: 1, last: true });
  stream.written.reject(new ApiError("ledger_unavailable", "no"));
  expect(JSON.parse((await rest)!.slice(6)).error.code).toBe("ledger_unavailable");
  expect(await stream.read()).toBeNull();
  expect(stream.seen.cancelled).toBe(1);
});

test("a caller who leaves is asked for what he got: nothing before the first token, the call after it", async () => {
  const before = setUp();
  expect(await readAfter(before, [[ROLE]])).toBe(ROLE);
  before.caller.abort();
  expect(before.told).toEqual(["cancelled", false]);

  const after = setUp();
  expect(await readAfter(after, [[ROLE]])).toBe(ROLE);
  expect(await readAfter(after, [[TOKEN]])).toBe(TOKEN);
  after.caller.abort();
  expect(after.told).toEqual(["cancelled", true]);

  const held = setUp();
  void held.read().catch(() => {});
  await settled();
  held.say(TOKEN, { finishes: 1 });
  await settled();
  held.caller.abort();
  expect(held.told).toEqual(["cancelled", false]);
});

test("a caller who leaves while the ledger writes has had a complete answer", async () => {
  const stream = setUp();
  expect(await readAfter(stream, [[TOKEN]])).toBe(TOKEN);
  void stream.read().catch(() => {});
  await settled();
  stream.say("data: [DONE]\n\n", { last: true });
  await settled();
  stream.caller.abort();
  stream.written.resolve();
  await settled();
  expect(stream.told).toEqual(["complete", null, null]);
});

test("an engine's error takes the place of what was held back", async () => {
  const stream = setUp();
  const event = 'data: {"error":{"message":"m"}}\n\n';
  const piece = await readAfter(stream, [
    ["data: 1\n\n", { finishes: 1 }],
    [event, { last: true, error: new Error("m") }],
  ]);
  expect(piece).toBe(event);
  expect(stream.told).toEqual(["failed"]);
});

test("an endpoint with errors of its own form: what we say and what the engine says is told in it, and nothing follows", async () => {
  const translation: Translation = {
    whole: (bytes) => bytes,
    push: (bytes) => encoder.encode(new TextDecoder().decode(bytes).replaceAll("data:", "event: own\ndata:")),
    error: ({ error }) => `event: failed\ndata: ${error.code}\n\n`,
  };
  const silent = setUp({ translation });
  expect(await readAfter(silent, [["data: 1\n\n"]])).toBe("event: own\ndata: 1\n\n");
  const given = silent.read();
  await settled();
  silent.pass(51);
  expect(await given).toBe("event: failed\ndata: engine_timeout\n\n");
  expect(await silent.read()).toBeNull();
  expect(silent.told).toEqual(["failed"]);

  const broken = setUp({ translation });
  const first = broken.read();
  await settled();
  broken.breakOff(new ApiError("engine_interrupted", "It broke off."));
  expect(await first).toBe("event: failed\ndata: engine_interrupted\n\n");
  expect(await broken.read()).toBeNull();

  // Held back for the ledger, which cannot write it: the end is an error of the endpoint's form too.
  const uncounted = setUp({ translation });
  const end = uncounted.read();
  await settled();
  uncounted.say("data: 2\n\n", { finishes: 1, last: true });
  uncounted.written.reject(new ApiError("ledger_unavailable", "no"));
  expect(await end).toBe("event: failed\ndata: ledger_unavailable\n\n");
});

test("for a repeat all events are kept, up to a bound", async () => {
  const stream = setUp({ keeps: true });
  expect(await readAfter(stream, [[TOKEN]])).toBe(TOKEN);
  void stream.read();
  await settled();
  stream.say("data: [DONE]\n\n", { last: true });
  await settled();
  expect(stream.told).toEqual(["complete", null, `${TOKEN}data: [DONE]\n\n`]);

  const large = setUp({ keeps: true });
  for (let at = 0; at < 5; at++) await readAfter(large, [[`data: ${"x".repeat(4 << 20)}\n\n`]]);
  void large.read();
  await settled();
  large.say("data: [DONE]\n\n", { last: true });
  await settled();
  expect(large.told).toEqual(["complete", null, null]);
});

test("bytes pass as they are, nothing is said in a silence, and the last byte waits for the ledger", async () => {
  const stream = setUp({ keeps: true, contentType: "audio/mpeg" });
  expect(stream.response.headers.get("content-type")).toBe("audio/mpeg");
  const first = stream.read();
  await settled();
  stream.pass(10);
  stream.say("abc");
  expect(await first).toBe("abc");
  let ended = false;
  const second = stream.read().then((text) => {
    ended = true;
    return text;
  });
  await settled();
  stream.say("d", { finishes: 1, last: true });
  await settled();
  expect([ended, stream.told]).toEqual([false, ["complete", null, "abcd"]]);
  stream.written.resolve();
  expect(await second).toBe("d");
  expect(await stream.read()).toBeNull();
});

test("bytes whose rest will not come break off: no end is made up", async () => {
  const stream = setUp({ contentType: "audio/mpeg" });
  const first = stream.read();
  await settled();
  stream.say("abc");
  expect(await first).toBe("abc");
  const second = stream.read().catch((error) => error);
  await settled();
  stream.breakOff(new ApiError("engine_interrupted", "gone"));
  expect(await second).toBeInstanceOf(Error);
  expect(stream.told).toEqual(["failed"]);
});
