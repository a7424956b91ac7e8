// What a caller sees of the ledger: how much an answer counted, and that the same call again counts nothing.

import { expect, test } from "bun:test";
import { KEY } from "./harness.ts";
import { HELLO, MODEL, testTraffic, useServer } from "./suite.ts";

const server = useServer();

interface Sent {
  status: number;
  headers: Headers;
  text: string;
}

async function send(fields: object, headers: Record<string, string> = {}, path = "/chat/completions"): Promise<Sent> {
  const response = await fetch(`${server().baseUrl}${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json", ...headers },
    body: JSON.stringify({ model: MODEL, messages: HELLO, ...fields }),
  });
  return { status: response.status, headers: response.headers, text: await response.text() };
}
const counted = ({ headers }: Sent) => headers.get("x-oxbow-counted");
const codeOf = ({ text }: Sent) => (JSON.parse(text) as { error: { code: string } }).error.code;
let keys = 0;
const newKey = () => ({ "idempotency-key": `key ${++keys}` });

test("every answer says what it counted: a whole one 1, an error 0, a list 0", async () => {
  expect(counted(await send({}))).toBe("1");
  expect(counted(await send({ n: 3 }))).toBe("1");
  expect(counted(await send({ temperature: 9 }))).toBe("0");
  expect(counted(await send({ model: "fault-500" }))).toBe("0");
  expect(counted(await send({ model: "fault-429" }))).toBe("0");
  const list = await fetch(`${server().baseUrl}/models`, { headers: { authorization: `Bearer ${KEY}` } });
  expect(list.headers.get("x-oxbow-counted")).toBe("0");
});

test("a stream says what it will count, and nobody sees the comment with its token counts", async () => {
  for (const n of [1, 3]) {
    const stream = await send({ stream: true, n });
    expect(stream.headers.get("x-oxbow-units")).toBe("1");
    expect(stream.headers.get("x-oxbow-usage")).toBeNull();
    expect(stream.text).toEndWith("data: [DONE]\n\n");
    expect(stream.text).not.toContain(": usage");
  }
});

test.each([false, true])(
  "the same call under its key again is the same answer, not counted (stream: %p)",
  async (stream) => {
    const key = newKey();
    const first = await send({ stream }, key);
    expect(first.headers.get("idempotent-replayed")).toBeNull();
    const again = await send({ stream }, key);
    expect(again.text).toBe(first.text);
    expect(again.status).toBe(200);
    expect(again.headers.get("content-type")).toBe(first.headers.get("content-type"));
    expect(again.headers.get("idempotent-replayed")).toBe("true");
    expect(counted(again)).toBe("0");
    expect(again.headers.get("x-request-id")).not.toBe(first.headers.get("x-request-id"));
  },
);

test("vectors of 2,048 texts as numbers, 45 MB, are the same again under their key", async () => {
  const key = newKey();
  const fields = {
    model: "bge-large",
    input: Array.from({ length: 2_048 }, (_, at) => `text ${at}`),
    encoding_format: "float",
  };
  const first = await send(fields, key, "/embeddings");
  expect(first.text.length).toBeGreaterThan(40_000_000);
  expect(first.headers.get("x-oxbow-answer-kept")).toBeNull();
  const again = await send(fields, key, "/embeddings");
  expect(again.headers.get("idempotent-replayed")).toBe("true");
  expect(again.headers.get("content-type")).toBe(first.headers.get("content-type"));
  expect(again.text === first.text).toBe(true);
});

test("another body or path under the same key is refused, and SDKs are told not to try again", async () => {
  const key = newKey();
  await send({}, key);
  for (const other of [await send({ seed: 5 }, key), await send({ prompt: "x" }, key, "/completions")]) {
    expect([other.status, codeOf(other)]).toEqual([409, "idempotency_key_reuse"]);
    expect(other.headers.get("x-should-retry")).toBe("false");
  }
});

test("while a call runs, its key is taken: the same is told when to try again", async () => {
  const key = newKey();
  const slow = { x_simulate: { ttftMs: 400 } };
  const [one, two] = await Promise.all([send(slow, key), send(slow, key)]);
  const [ran, refused] = one.status === 200 ? [one, two] : [two, one];
  expect(ran.status).toBe(200);
  expect([refused.status, codeOf(refused)]).toEqual([409, "idempotency_in_flight"]);
  expect(refused.headers.get("retry-after")).toBe("1");
  expect((await send(slow, key)).text).toBe(ran.text);
});

test("a call that failed frees its key", async () => {
  const key = newKey();
  const failing = { x_simulate: { fault: { kind: "error", error: "internal_error" } } };
  expect((await send(failing, key)).status).toBe(500);
  expect((await send(failing, key)).headers.get("idempotent-replayed")).toBeNull();
  const interrupted = { stream: true, x_simulate: { fault: { kind: "interrupt", afterTokens: 2 } } };
  const other = newKey();
  expect((await send(interrupted, other)).text).toContain("engine_interrupted");
  expect((await send({ stream: true }, other)).text).toEndWith("data: [DONE]\n\n");
});

test("a key that is no key is refused", async () => {
  for (const bad of ["x".repeat(256), "tab\there"]) {
    const refused = await send({}, { "idempotency-key": bad });
    expect([refused.status, codeOf(refused)]).toEqual([400, "invalid_value"]);
  }
});

testTraffic(server);
