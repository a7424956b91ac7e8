// The simulator as a process: over its socket and its port, with raw bytes where bytes matter.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { WorkerConfig } from "@oxbow/contract";
import { auditChatStream } from "./test-stream.ts";

const folder = mkdtempSync(join(tmpdir(), "simulator-"));
afterAll(() => rmSync(folder, { recursive: true }));

const MAIN = join(import.meta.dir, "main.ts");
let started = 0;

interface Worker {
  socket: string;
  process: Bun.Subprocess<"pipe", "ignore", "pipe">;
  fetch(path: string, init?: RequestInit): Promise<Response>;
  chat(body: object, init?: RequestInit): Promise<Response>;
  /** Value of a metric. */
  metric(name: string): Promise<number>;
  stop(): Promise<void>;
}

async function start(config: Partial<WorkerConfig> = {}): Promise<Worker> {
  const socket = join(folder, `${++started}.sock`);
  const model = { id: "m", aliases: [], category: "chat", capabilities: ["tools"], contextTokens: 8192 };
  const full: WorkerConfig = { socket, models: [model], slots: 8, threads: 1, options: {}, ...config };
  const process = Bun.spawn([globalThis.process.execPath, MAIN, JSON.stringify(full)], {
    stdin: "pipe",
    stdout: "ignore",
    stderr: "pipe",
  });
  const fetchIt = (path: string, init: RequestInit = {}) =>
    fetch(`http://worker${path}`, { ...init, unix: socket } as RequestInit);
  for (let tries = 0; ; tries++) {
    const health = await fetchIt("/health").catch(() => null);
    if (health?.ok) break;
    if (tries > 500) throw new Error("the worker does not come up");
    await Bun.sleep(10);
  }
  return {
    socket,
    process,
    fetch: fetchIt,
    chat: (body, init) =>
      fetchIt("/v1/chat/completions", {
        method: "POST",
        body: JSON.stringify({ model: "m", messages: [{ role: "user", content: "Hello there" }], ...body }),
        ...init,
      }),
    async metric(name) {
      const text = await (await fetchIt("/metrics")).text();
      return Number(new RegExp(`^${name}\\{[^}]*\\} (\\S+)$`, "m").exec(text)?.[1]);
    },
    async stop() {
      process.kill();
      await process.exited;
    },
  };
}

/** Speaks HTTP/1.1 by hand; resolves with all bytes once the other side has closed, or `until` has come. */
function speak(socket: string, body: object, until?: string): Promise<{ text: string; socket: Socket }> {
  const json = JSON.stringify({ model: "m", messages: [{ role: "user", content: "Hello there" }], ...body });
  const { promise, resolve } = Promise.withResolvers<{ text: string; socket: Socket }>();
  let text = "";
  const stream = connect(socket, () => {
    stream.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: ${Buffer.byteLength(json)}\r\n\r\n${json}`,
    );
  });
  stream.on("data", (data) => {
    text += data;
    if (until !== undefined && text.includes(until)) resolve({ text, socket: stream });
  });
  stream.on("error", () => {});
  stream.on("close", () => resolve({ text, socket: stream }));
  return promise;
}

/** Waits for what another process does next, for as long as a slow machine takes. */
async function eventually(holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 500; tries++) {
    if (await holds()) return;
    await Bun.sleep(10);
  }
  throw new Error("it never held");
}

describe("one worker", () => {
  let worker: Worker;
  beforeAll(async () => {
    worker = await start();
  });
  afterAll(() => worker.stop());

  test("answers health, models and metrics", async () => {
    expect(await (await worker.fetch("/health")).json()).toEqual({ state: "warm", progress: 1 });
    const models = (await (await worker.fetch("/v1/models")).json()) as { data: { id: string }[] };
    expect(models.data.some((model) => model.id === "m")).toBe(true);
    expect(await worker.metric("simulator_requests_running")).toBe(0);
  });

  test("a stream on the wire is what SDKs read", async () => {
    const response = await worker.chat({ stream: true, n: 2, stream_options: { include_usage: true } });
    expect(response.headers.get("cache-control")).toBe("no-cache");
    expect(response.headers.get("x-oxbow-simulated")).toBe("true");
    expect(response.headers.get("x-request-id")).toMatch(/^req_[0-9a-f]{32}$/);
    const { usage, choices } = auditChatStream(await response.text(), 2);
    expect(usage?.completion_tokens).toBe(choices[0]!.pieces + choices[1]!.pieces);
  });

  test("fault models that refuse do so with status, code and headers that clients act on", async () => {
    const answer = async (model: string, headers: Record<string, string> = {}) => {
      const response = await worker.chat({ model }, { headers });
      const body = (await response.json()) as { error?: { code: string; type: string; message: string } };
      return { status: response.status, headers: response.headers, ...body };
    };
    const limited = await answer("fault-429");
    expect(limited).toMatchObject({ status: 429, error: { code: "rate_limit_exceeded" } });
    expect(limited.error?.message).toEndWith("Please try again in 1.35s.");
    expect([limited.headers.get("retry-after-ms"), limited.headers.get("retry-after")]).toEqual(["1350", "2"]);
    const quota = await answer("fault-quota");
    expect(quota).toMatchObject({ status: 429, error: { code: "insufficient_quota", type: "insufficient_quota" } });
    expect(quota.headers.get("x-should-retry")).toBe("false");
    expect((await answer("fault-500")).status).toBe(500);
    expect((await answer("fault-503")).headers.get("retry-after")).toBe("1");
    expect((await answer("fault-504")).status).toBe(504);
    expect(await answer("fault-context")).toMatchObject({ status: 400, error: { code: "context_length_exceeded" } });
    expect((await answer("fault-429-once")).status).toBe(429);
    expect((await answer("fault-429-once", { "x-stainless-retry-count": "1" })).status).toBe(200);

    const page = await worker.chat({ model: "fault-502" });
    expect([page.status, page.headers.get("content-type")]).toEqual([502, "text/html"]);
  });

  test("a fault inside the stream is an error event and no end", async () => {
    const text = await (await worker.chat({ model: "fault-midstream", stream: true })).text();
    const events = text.trimEnd().split("\n\n");
    // The first token comes with the role, in an event of its own.
    expect(events).toHaveLength(7);
    expect(JSON.parse(events.at(-1)!.slice(6))).toMatchObject({
      error: { code: "engine_interrupted", type: "server_error" },
    });
    expect(text).not.toContain("[DONE]");
    expect(text).not.toContain('"finish_reason":"');
    // However short the answer is.
    const short = await (await worker.chat({ model: "fault-midstream", stream: true, max_tokens: 1 })).text();
    expect(short).toContain('{"error":');
    expect((await worker.chat({ model: "fault-midstream" })).status).toBe(502);
  });

  test("a cut connection is cut: at a token, at a byte, in a whole answer", async () => {
    const raw = await speak(worker.socket, { model: "fault-disconnect", stream: true });
    expect(raw.text).toContain('"content":');
    expect(raw.text).not.toEndWith("0\r\n\r\n");
    const cut = await speak(worker.socket, { stream: true, x_simulate: { fault: { kind: "reset", atByte: 100 } } });
    const chunks = cut.text.slice(cut.text.indexOf("\r\n\r\n") + 4);
    expect(chunks).toStartWith("64\r\n");
    expect(chunks.slice(4, 104)).toStartWith('data: {"id":"chatcmpl-');
    expect(chunks.length).toBeLessThanOrEqual(106);
    await expect(worker.chat({ model: "fault-disconnect" }).then((response) => response.text())).rejects.toThrow();
    await eventually(async () => (await worker.metric("simulator_requests_running")) === 0);
  });

  test("garbage is garbage, empty is empty", async () => {
    const garbage = await (await worker.chat({ model: "fault-garbage", stream: true })).text();
    expect(() => auditChatStream(garbage)).toThrow();
    expect(garbage).toContain("this is no event");
    await expect((await worker.chat({ model: "fault-garbage" })).json()).rejects.toThrow();
    for (const stream of [true, false]) {
      const empty = await worker.chat({ model: "fault-empty", stream });
      expect([empty.status, await empty.text()]).toEqual([200, ""]);
    }
  });

  test("the header x-simulate works like the field, and a bad one is named", async () => {
    const headers = { "x-simulate": JSON.stringify({ fault: { kind: "error", error: "shutting_down" } }) };
    expect((await worker.chat({}, { headers })).status).toBe(503);
    const bad = await worker.chat({ x_simulate: { fault: { kind: "explode" } } });
    expect([bad.status, await bad.json()]).toMatchObject([
      400,
      { error: { code: "invalid_value", param: "x_simulate.fault.kind" } },
    ]);
    expect((await worker.chat({}, { headers: { "x-simulate": "{" } })).status).toBe(400);
  });

  test("who hangs up gives the slot back at once, in each phase", async () => {
    const phases = [
      { stream: true, x_simulate: { ttftMs: 600_000 } },
      { stream: true, x_simulate: { itlMs: 600_000 } },
      { stream: true, x_simulate: { fault: { kind: "stall", afterTokens: 2 } } },
      { x_simulate: { ttftMs: 600_000 } },
      { x_simulate: { fault: { kind: "stall" } } },
    ];
    for (const body of phases) {
      const gone = new AbortController();
      const answer = worker.chat(body, { signal: gone.signal }).then((response) => response.text());
      await eventually(async () => (await worker.metric("simulator_requests_running")) === 1);
      gone.abort();
      await expect(answer).rejects.toThrow();
      await eventually(async () => (await worker.metric("simulator_requests_running")) === 0);
    }
  });

  test("a stream stalls where it was told to, and stays open", async () => {
    const { text, socket } = await speak(worker.socket, { model: "fault-stall", stream: true, seed: 3 }, "data:");
    expect(text).toContain("200 OK");
    expect(socket.destroyed).toBe(false);
    expect(await worker.metric("simulator_requests_running")).toBe(1);
    socket.destroy();
    await eventually(async () => (await worker.metric("simulator_requests_running")) === 0);
  });

  test("the tokenizer is open to those who need ids for logit_bias", async () => {
    const post = async (path: string, body: object) =>
      (await worker.fetch(path, { method: "POST", body: JSON.stringify(body) })).json() as Promise<{
        tokens: number[];
        count: number;
        prompt: string;
      }>;
    const { tokens, count } = await post("/tokenize", { model: "m", prompt: "Hello, world" });
    expect(tokens).toHaveLength(count);
    expect((await post("/detokenize", { tokens })).prompt).toBe("Hello, world");
  });
});

describe("slots and the line", () => {
  test("calls beyond the slots wait, and a full line refuses with a time to come back", async () => {
    const worker = await start({ slots: 1, options: { waitingMax: 1 } });
    const gone = new AbortController();
    const slow = { x_simulate: { ttftMs: 600_000 } };
    const running = worker.chat(slow, { signal: gone.signal }).catch(() => null);
    await eventually(async () => (await worker.metric("simulator_requests_running")) === 1);
    const waiting = worker.chat({});
    await eventually(async () => (await worker.metric("simulator_requests_waiting")) === 1);
    const refused = await worker.chat({});
    expect([refused.status, refused.headers.get("retry-after-ms")]).toEqual([503, "1000"]);
    gone.abort();
    await running;
    expect((await waiting).status).toBe(200);
    await worker.stop();
  });

  test("priority: low first in vLLM's dress when it is enabled, refused in its words when not", async () => {
    const plain = await start({ options: { dress: "vllm" } });
    expect((await plain.chat({ priority: 0 })).status).toBe(200);
    const refused = await plain.chat({ priority: 3 });
    expect([refused.status, await refused.json()]).toMatchObject([
      400,
      { error: { message: "Got priority 3 but Priority scheduling is not enabled." } },
    ]);
    await plain.stop();

    for (const [dress, urgent] of [
      ["vllm", 0],
      ["sglang", 9],
    ] as const) {
      const worker = await start({ slots: 1, options: { dress, prioritySupported: true } });
      const [runningName, waitingName] =
        dress === "vllm"
          ? ["vllm:num_requests_running", "vllm:num_requests_waiting"]
          : ["sglang:num_running_reqs", "sglang:num_queue_reqs"];
      const gone = new AbortController();
      const held = worker.chat({ x_simulate: { ttftMs: 600_000 } }, { signal: gone.signal }).catch(() => null);
      await eventually(async () => (await worker.metric(runningName)) === 1);
      const order: number[] = [];
      const enter = async (priority: number, at: number) => {
        // Each holds the slot for a moment: answers that leave at once may overtake each other on their way here.
        const body = { priority, x_simulate: { ttftMs: 100 } };
        const answer = worker.chat(body).then(() => void order.push(priority));
        await eventually(async () => (await worker.metric(waitingName)) === at);
        return () => answer;
      };
      const answers = [await enter(5, 1), await enter(urgent, 2)];
      gone.abort();
      await held;
      await Promise.all(answers.map((answer) => answer()));
      expect(order).toEqual([urgent, 5]);
      await worker.stop();
    }
  });

  test("vLLM's sleep ends what runs with an error, refuses, and wakes up again", async () => {
    const worker = await start({ options: { dress: "vllm" } });
    const post = (path: string) => worker.fetch(path, { method: "POST" });
    const stream = await worker.chat({ stream: true, x_simulate: { itlMs: 600_000 } });
    expect((await post("/sleep?level=1")).status).toBe(200);
    expect(await stream.text()).toEndWith('"code":"model_not_ready"}}\n\n');
    expect(await (await worker.fetch("/is_sleeping")).json()).toEqual({ is_sleeping: true });
    expect((await worker.chat({})).status).toBe(503);
    await post("/wake_up");
    expect((await worker.chat({})).status).toBe(200);
    expect(await worker.metric("vllm:num_requests_running")).toBe(0);
    await worker.stop();
  });
});

describe("the process", () => {
  test("ends when its parent closes the pipe, and on SIGTERM", async () => {
    const orphan = await start();
    await orphan.process.stdin.end();
    expect(await orphan.process.exited).toBe(0);
    const asked = await start();
    asked.process.kill("SIGTERM");
    expect(await asked.process.exited).toBe(0);
  });

  test("listens on a loopback port too when told to", async () => {
    const worker = await start({ options: { port: 0 } });
    const { value } = await worker.process.stderr.getReader().read();
    const url = /http:\/\/127\.0\.0\.1:\d+/.exec(Buffer.from(value!).toString())?.[0];
    expect((await fetch(`${url}/health`)).status).toBe(200);
    await worker.stop();
  });

  test("a config it cannot use ends it with a last word and the code that means so", async () => {
    const config = { socket: join(folder, "x.sock"), models: [], slots: 1, threads: 1, options: { dress: "tuxedo" } };
    const { exitCode, stderr } = Bun.spawnSync([process.execPath, MAIN, JSON.stringify(config)], { stdin: "ignore" });
    expect(exitCode).toBe(65);
    expect(stderr.toString()).toStartWith("fatal: simulator: options/dress");
  });

  test("the pace that was set is kept: first token by the uncached prompt, then between tokens", async () => {
    const worker = await start({ options: { ttftMs: 60, itlMs: 20 } });
    const at: number[] = [];
    const from = performance.now();
    const response = await worker.chat({ stream: true, max_tokens: 4 });
    for await (const _ of response.body!) at.push(performance.now() - from);
    // Never sooner; how much later is the machine's affair.
    expect(at[0]).toBeGreaterThanOrEqual(59);
    expect(at.at(-1)).toBeGreaterThanOrEqual(60 + 3 * 20 - 4);
    const before = performance.now();
    await worker.chat({ max_tokens: 4 });
    expect(performance.now() - before).toBeGreaterThanOrEqual(60 + 3 * 20 - 4);
    await worker.stop();
  });
});
