// What many large bodies at the same time take of the memory: what fits is served, the rest is told when to come again, and
// whatever becomes of them nothing is left of it.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import fc from "fast-check";
import sharp from "sharp";
import { adminPlan, dataWith, simulatorAlone } from "./data.ts";
import { eventually, KEY, type RunningServer, startServer } from "./harness.ts";
import { makeMember } from "./members.ts";
import { formOf, needTools, wavOf } from "./recordings.ts";

setDefaultTimeout(120_000);
const MB = 1_000_000;
const LIMITS = { all: 200 * MB, account: 120 * MB };

let server: RunningServer;
let other: string;
const cleanUp: (() => unknown)[] = [];
beforeAll(async () => {
  const data = dataWith(simulatorAlone, adminPlan({ audioSecondsMax: null, concurrencyMax: null }));
  cleanUp.push(data.remove);
  server = await startServer({
    simulate: true,
    env: {
      OXBOW_DATA: data.folder,
      OXBOW_BODIES_BYTES_MAX: String(LIMITS.all),
      OXBOW_ACCOUNT_BODIES_BYTES_MAX: String(LIMITS.account),
      OXBOW_BODY_IDLE_MS_MAX: "3000",
      OXBOW_AUDIO_SECONDS_MAX: "700",
      OXBOW_BODY_BYTES_PER_SECOND_MIN: "100000",
    },
  });
  cleanUp.push(server.stop);
  other = await makeMember(server.home, "other", "enterprise");
}, 90_000);
afterAll(async () => {
  for (const step of cleanUp.toReversed()) await step();
});

/** Memory of its own that the server holds. */
const heldBytes = () =>
  1024 * Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${server.pid}/status`, "utf8"))?.[1]);

async function bodyBytes(): Promise<number> {
  const headers = { authorization: `Bearer ${KEY}` };
  const text = await (await fetch(`http://127.0.0.1:${server.port}/metrics`, { headers })).text();
  return Number(/^oxbow_body_bytes (\d+)$/m.exec(text)?.[1]);
}

const nothingHeld = () => eventually(async () => (await bodyBytes()) === 0, "no body is held any more");

interface Answer {
  status: number;
  code: unknown;
  again: string | null;
}

async function post(
  path: string,
  init: { headers: Record<string, string>; body: Uint8Array | string },
  key = KEY,
): Promise<Answer> {
  const headers = { authorization: `Bearer ${key}`, ...init.headers };
  const answer = await fetch(`http://127.0.0.1:${server.port}${path}`, {
    method: "POST",
    headers,
    body: init.body as string,
  });
  const body = (await answer.json()) as { error?: { code: unknown }; text?: string };
  return { status: answer.status, code: body.error?.code ?? null, again: answer.headers.get("retry-after") };
}

const AUTH = `authorization: Bearer ${KEY}`;

/** Sends a head, and a part of the body that it promises; resolves with all that comes back, once the connection ends. */
function sendPart(fields: string[], part: Uint8Array, path = "/v1/chat/completions"): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(server.port, "127.0.0.1");
    let got = "";
    socket.on("data", (piece) => {
      got += piece;
      if (/\r\n\r\n.*\}$/s.test(got)) socket.destroy();
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(got));
    socket.write(`POST ${path} HTTP/1.1\r\nhost: x\r\n${fields.join("\r\n")}\r\n\r\n`);
    socket.write(part);
  });
}

/** 20 MB: ten minutes and a half. */
const RECORDING = formOf({ model: "whisper-medium" }, wavOf(625));
const hear = (key?: string) => post("/v1/audio/transcriptions", RECORDING, key);

/** The most that the server holds while `during` runs, above what it held before. */
async function peakOf(during: () => Promise<unknown>): Promise<number> {
  const before = heldBytes();
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, heldBytes());
  }, 20);
  await during().finally(() => clearInterval(timer));
  return most - before;
}

test.each([24, 100])(
  "%d recordings of 20 MB at once: as many are heard as fit, the rest is told to wait",
  async (count) => {
    let answers: Answer[] = [];
    const peak = await peakOf(async () => {
      answers = await Promise.all(Array.from({ length: count }, (_, at) => hear(at % 2 ? other : KEY)));
    });
    const heard = answers.filter(({ status }) => status === 200);
    const refused = answers.filter(({ status }) => status !== 200);
    expect(heard.length).toBeGreaterThanOrEqual(9);
    for (const { status, code, again } of refused) {
      expect([429, 503]).toContain(status);
      expect(code).toBe(status === 429 ? "rate_limit_exceeded" : "server_is_overloaded");
      expect(Number(again)).toBeGreaterThanOrEqual(1);
    }
    await nothingHeld();
    expect(peak).toBeLessThan(5 * LIMITS.all);
  },
);

test("a picture of 15 MB in the text of a call: as many are seen as fit, and the memory is bounded", async () => {
  const pixels = randomBytes(2_240 * 2_240 * 3);
  const png = await sharp(pixels, { raw: { width: 2_240, height: 2_240, channels: 3 } })
    .png({ compressionLevel: 0 })
    .toBuffer();
  const content = [{ type: "image_url", image_url: { url: `data:image/png;base64,${png.toString("base64")}` } }];
  const body = JSON.stringify({ model: "gemma-3-4b", messages: [{ role: "user", content }] });
  expect(body.length).toBeGreaterThan(20 * MB);
  let answers: Answer[] = [];
  const init = { headers: { "content-type": "application/json" }, body };
  const peak = await peakOf(async () => {
    answers = await Promise.all(Array.from({ length: 24 }, () => post("/v1/chat/completions", init)));
  });
  const seen = answers.filter(({ status }) => status === 200).length;
  expect(seen).toBeGreaterThanOrEqual(2);
  expect(answers.filter(({ code }) => code === "rate_limit_exceeded").length).toBe(24 - seen);
  await nothingHeld();
  expect(peak).toBeLessThan(5 * LIMITS.all);
});

test("nothing is held of calls that were broken off, wherever that was", async () => {
  const whole = RECORDING.body;
  const breakOff = fc.record({
    declared: fc.boolean(),
    /** Share of the body that is sent. */
    sent: fc.double({ min: 0, max: 1, noNaN: true }),
    afterMs: fc.nat(60),
    good: fc.boolean(),
  });
  const run = (cut: { declared: boolean; sent: number; afterMs: number; good: boolean }) =>
    new Promise<void>((resolve) => {
      const socket = connect(server.port, "127.0.0.1");
      socket.on("error", () => {});
      socket.on("close", () => resolve());
      const length = cut.declared ? `content-length: ${whole.length}` : "transfer-encoding: chunked";
      const key = cut.good ? AUTH : "authorization: Bearer wrong";
      const type = `content-type: ${RECORDING.headers["content-type"]}`;
      socket.write(`POST /v1/audio/transcriptions HTTP/1.1\r\nhost: x\r\n${key}\r\n${type}\r\n${length}\r\n\r\n`);
      const part = whole.subarray(0, Math.floor(whole.length * cut.sent));
      if (cut.declared) socket.write(part);
      else if (part.length > 0) {
        socket.write(`${part.length.toString(16)}\r\n`);
        socket.write(part);
      }
      setTimeout(() => socket.destroy(), cut.afterMs);
    });
  await fc.assert(
    fc.asyncProperty(fc.array(breakOff, { minLength: 1, maxLength: 12 }), async (cuts) => {
      await Promise.all(cuts.map(run));
      await nothingHeld();
    }),
    { numRuns: 15, seed: 20_261_121 },
  );
  expect((await hear()).status).toBe(200);
});

test("a body that comes too slowly is given up, and what it held is free again", async () => {
  const json = "content-type: application/json";
  const started = performance.now();
  const socket = connect(server.port, "127.0.0.1");
  let got = "";
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n${AUTH}\r\n${json}\r\ncontent-length: 20000000\r\n\r\n`,
  );
  // Never silent, and never done.
  const timer = setInterval(() => socket.write("x".repeat(1_000)), 50);
  await new Promise<void>((resolve) => {
    socket.on("data", (piece) => {
      got += piece;
      resolve();
    });
    socket.on("close", () => resolve());
  });
  clearInterval(timer);
  socket.destroy();
  expect(got).toStartWith("HTTP/1.1 408");
  expect(got).toContain("must come at 100000 bytes a second at least");
  expect(performance.now() - started).toBeLessThan(10_000);
  await nothingHeld();
});

test("who has no key is told so before his body is read, and who closes early hears it too", async () => {
  const bytes = new Uint8Array(2_000_000);
  const fields = ["content-type: application/json", "content-length: 2000000", "connection: close"];
  const answers = await Promise.all(Array.from({ length: 20 }, () => sendPart(fields, bytes)));
  for (const answer of answers) expect(answer).toStartWith("HTTP/1.1 401");
  expect(await sendPart(["content-length: 20000000"], new Uint8Array(0))).toStartWith("HTTP/1.1 401");
});

test.each(["200000000", "99999999999999"])(
  "a body that says it has %s bytes hears why not, in JSON",
  async (length) => {
    const fields = [AUTH, "content-type: application/json", `content-length: ${length}`];
    const answer = await sendPart(fields, Buffer.from("{"));
    expect(answer).toStartWith("HTTP/1.1 413");
    expect(answer).toContain("Maximum content size limit");
  },
);

/** What is refused, and how it is told. */
async function refusalOf(bytes: Buffer, name?: string): Promise<[number, string, string]> {
  const { body, headers } = formOf({ model: "whisper-medium" }, bytes, name);
  const init = { method: "POST", headers: { authorization: `Bearer ${KEY}`, ...headers }, body };
  const answer = await fetch(`http://127.0.0.1:${server.port}/v1/audio/transcriptions`, init);
  const { error } = (await answer.json()) as { error: { code: string; message: string } };
  return [answer.status, error.code, error.message];
}

test("a recording is as long as the server takes, where the plan does not say less, and holds no more than that", async () => {
  const [status, code, message] = await refusalOf(wavOf(750, 8_000));
  expect([status, code]).toEqual([400, "input_limit_exceeded"]);
  expect(message).toContain("more than 700 seconds of audio");
  needTools();
  const silence = ["-f", "lavfi", "-i", "anullsrc=r=96000:cl=7.1", "-t", "120", "-c:a", "flac", "-f", "flac", "-"];
  const { stdout } = Bun.spawnSync(["ffmpeg", "-loglevel", "error", ...silence], { stderr: "inherit" });
  expect(stdout.length).toBeLessThan(MB);
  const wide = await refusalOf(stdout as Buffer, "a.flac");
  expect(wide.slice(0, 2)).toEqual([400, "input_limit_exceeded"]);
  expect(wide[2]).toContain("120 seconds of audio with 8 channels of 96000 samples a second");
});
