// Whatever is sent, the answer is an answer or the envelope of an error that is the caller's: never a 5xx, never silence,
// never the end of the server.

import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { violationsOf } from "./contract.ts";
import {
  DEEP,
  NO_OBJECT,
  NOT_JSON,
  NOT_UTF8,
  nameOf,
  ODD_OBJECTS,
  pathsOf,
  WRONG_VALUES,
  withValueAt,
} from "./corpus.ts";
import { KEY } from "./harness.ts";
import { type Message, request, sendBytes, statusOf } from "./http.ts";
import schemas from "./oracle/schemas.json";
import { MODEL, useServer, WEATHER } from "./suite.ts";

const server = useServer();
const AUTH = { authorization: `Bearer ${KEY}` };
const PATHS = ["/v1/chat/completions", "/v1/completions", "/v1/responses"];

async function post(path: string, body: Buffer | string, headers: Record<string, string> = {}): Promise<Message> {
  return (await request(server().port, "POST", path, { headers: { ...AUTH, ...headers }, body }))!;
}

/** What is wrong with an answer to a body that is wrong; undefined when nothing is. */
function fault(path: string, answer: Message | null, request: object = {}): string | undefined {
  if (!answer) return "no answer";
  const status = statusOf(answer);
  if (status >= 500) return `status ${status}: ${answer.body.toString().slice(0, 200)}`;
  const asked = asMessage(`POST ${path}`, JSON.stringify(request));
  return violationsOf({ request: asked, response: answer, hungUp: false, open: false })[0];
}

function asMessage(methodAndPath: string, body = ""): Message {
  return { startLine: `${methodAndPath} HTTP/1.1`, headers: [], body: Buffer.from(body), chunks: [], complete: true };
}

/** A body, and what is special about it. */
type Case = [label: string, body: Buffer | string, request?: object];

/** Sends all bodies, a few at a time. @returns the first ten things that were wrong with the answers, with their number */
async function faultsOf(path: string, cases: Case[], statuses: number[]): Promise<string[]> {
  const found: string[] = [];
  const queue = cases.values();
  const worker = async () => {
    for (const [label, body, request] of queue) {
      const answer = await post(path, body);
      const wrong = fault(path, answer, request);
      if (wrong) found.push(`${label}: ${wrong}`);
      else if (!statuses.includes(statusOf(answer))) found.push(`${label}: status ${statusOf(answer)}`);
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  return found.length > 10 ? [...found.slice(0, 10), `${found.length} in all`] : found;
}

const cases = (bodies: (Buffer | string)[]): Case[] =>
  bodies.map((body) => [
    `${Buffer.from(body as string)
      .toString("latin1")
      .slice(0, 80)} (${body.length} bytes)`,
    body,
  ]);

/** A good call with each wrong value at each of its places. */
function wrongCalls(good: object, fields: (name: string) => boolean = () => true): Case[] {
  const places = [...pathsOf(good)].filter(([name]) => fields(String(name)));
  return places.flatMap((at) =>
    WRONG_VALUES.map((value): Case => {
      const call = withValueAt(good, at, value) as object;
      return [`${nameOf(at)} = ${JSON.stringify(value)}`, JSON.stringify(call), call];
    }),
  );
}

/** A call that uses every field at least once. */
const FULL = {
  model: MODEL,
  messages: [
    { role: "system", content: "Be brief.", name: "s" },
    { role: "user", content: [{ type: "text", text: "Hello" }] },
    {
      role: "assistant",
      content: null,
      tool_calls: [{ id: "call_1", type: "function", function: { name: "get_weather", arguments: "{}" } }],
    },
    { role: "tool", tool_call_id: "call_1", content: "fine" },
    { role: "user", content: "And?" },
  ],
  tools: [WEATHER],
  tool_choice: { type: "function", function: { name: "get_weather" } },
  response_format: {
    type: "json_schema",
    json_schema: { name: "a", strict: true, schema: { type: "object", properties: { a: { type: "string" } } } },
  },
  stream: false,
  max_completion_tokens: 8,
  temperature: 1,
  top_p: 1,
  n: 1,
  stop: ["x"],
  seed: 1,
  logprobs: true,
  top_logprobs: 1,
  logit_bias: { "1": 1 },
  presence_penalty: 0,
  frequency_penalty: 0,
  parallel_tool_calls: true,
  metadata: { a: "b" },
  user: "u",
  service_tier: "auto",
  store: false,
};

const LEGACY = {
  model: MODEL,
  prompt: ["a", "b"],
  max_tokens: 4,
  n: 1,
  best_of: 1,
  echo: false,
  logprobs: 1,
  stop: ["x"],
  suffix: null,
  temperature: 1,
  logit_bias: { "1": 1 },
  stream: true,
  stream_options: { include_usage: true },
};

const RESPONSES = {
  model: MODEL,
  instructions: "Be brief.",
  input: [
    { type: "message", role: "user", content: [{ type: "input_text", text: "Hello" }] },
    { type: "reasoning", id: "rs_1", summary: [{ type: "summary_text", text: "Hm." }] },
    { role: "assistant", content: [{ type: "output_text", text: "Well.", annotations: [], logprobs: [] }] },
    { type: "function_call", id: "fc_1", call_id: "call_1", name: "get_weather", arguments: "{}" },
    { type: "function_call_output", call_id: "call_1", output: "fine" },
    { role: "user", content: "And?" },
  ],
  tools: [{ type: "function", ...WEATHER.function, strict: false }],
  tool_choice: { type: "allowed_tools", mode: "auto", tools: [{ type: "function", name: "get_weather" }] },
  text: { format: { type: "json_schema", name: "a", schema: { type: "object" }, strict: true }, verbosity: "medium" },
  reasoning: { effort: null, summary: "auto" },
  include: ["message.output_text.logprobs"],
  top_logprobs: 1,
  max_output_tokens: 16,
  temperature: 1,
  top_p: 1,
  parallel_tool_calls: true,
  truncation: "disabled",
  metadata: { a: "b" },
  service_tier: "auto",
  store: false,
  stream: true,
  stream_options: { include_obfuscation: false },
};

/** A good call for each path, and the least that makes one. */
const GOOD: Record<string, { full: object; least: object }> = {
  "/v1/chat/completions": { full: FULL, least: { model: MODEL, messages: FULL.messages } },
  "/v1/completions": { full: LEGACY, least: { model: MODEL, prompt: "a" } },
  "/v1/responses": { full: RESPONSES, least: { model: MODEL, input: "a" } },
};

describe.each(PATHS)("%s", (path) => {
  const { full: good, least } = GOOD[path]!;

  test("what is not JSON is a 400", async () => {
    const inField = NOT_JSON.filter((text) => text.trim() !== "").map((text) => `{"model":${text}`);
    expect(await faultsOf(path, cases([...NOT_JSON, ...inField]), [400])).toEqual([]);
  });

  test("what is no object, not UTF-8, or deep beyond use is a 400", async () => {
    expect(await faultsOf(path, cases([...NO_OBJECT, ...NOT_UTF8, ...DEEP]), [400])).toEqual([]);
  });

  test("odd objects are refused for what they lack", async () => {
    expect(await faultsOf(path, cases(ODD_OBJECTS), [400, 404])).toEqual([]);
  });

  test("every beginning of a good body is a 400", async () => {
    const whole = JSON.stringify(good);
    const cuts = Array.from({ length: 60 }, (_, at) => whole.slice(0, Math.floor((whole.length * at) / 60)));
    expect(await faultsOf(path, cases(cuts), [400])).toEqual([]);
  });

  test("a wrong value at any place of a call is refused or understood", async () => {
    expect(await faultsOf(path, [["the good call", JSON.stringify(good), good]], [200])).toEqual([]);
    const wrong = wrongCalls(good);
    expect(wrong.length).toBeGreaterThan(400);
    expect(await faultsOf(path, wrong, [200, 400, 404])).toEqual([]);
  }, 60_000);

  test("any JSON at all is refused or understood", async () => {
    const known = Object.keys(good);
    const bodies = fc.dictionary(fc.oneof(fc.constantFrom(...known), fc.string()), fc.jsonValue({ maxDepth: 4 }));
    await fc.assert(
      fc.asyncProperty(bodies, fc.boolean(), async (random, fitted) => {
        const call = fitted ? { ...random, ...least } : random;
        const wrong = fault(path, await post(path, JSON.stringify(call)), call);
        if (wrong) throw new Error(wrong);
      }),
      { numRuns: 150 },
    );
  }, 60_000);
});

test("a wrong value at any place that reaches the real engine is refused or understood", async () => {
  const good = { ...FULL, model: "tiny" };
  const reaching = ["messages", "tools", "tool_choice", "response_format", "stop", "seed", "logit_bias", "temperature"];
  const wrong = wrongCalls(good, (field) => reaching.includes(field));
  expect(await faultsOf(PATHS[0]!, [["the good call", JSON.stringify(good), good]], [200])).toEqual([]);
  expect(await faultsOf(PATHS[0]!, wrong, [200, 400, 404])).toEqual([]);
}, 60_000);

test("a field of another JSON type is named in the refusal", async () => {
  const { properties } = schemas.CreateChatCompletionRequest.allOf[1] as {
    properties: Record<string, { type?: string | string[] }>;
  };
  const wrong: string[] = [];
  let refused = 0;
  for (const [name, { type }] of Object.entries(properties)) {
    const types = [type ?? []].flat();
    for (const [kind, value] of Object.entries({
      string: "x",
      number: 0.5,
      boolean: true,
      array: [0],
      object: { x: 0 },
    })) {
      const fits = types.length === 0 || types.includes(kind);
      if (fits) continue;
      const answer = await post(PATHS[0]!, JSON.stringify({ ...FULL, [name]: value }));
      if (statusOf(answer) === 200) continue;
      refused++;
      const { param } = JSON.parse(answer.body.toString()).error;
      if (!param?.startsWith(name)) wrong.push(`${name} as ${kind}: param ${param}`);
    }
  }
  expect(wrong).toEqual([]);
  expect(refused).toBeGreaterThan(60);
});

test("a wrong value deep inside is named with its path", async () => {
  for (const [path, value] of [
    [["messages", 0, "content"], 5],
    [["messages", 1, "content", 0, "text"], null],
    [["messages", 2, "tool_calls", 0, "function", "arguments"], {}],
    [["tools", 0, "function", "name"], 7],
    [["response_format", "json_schema", "name"], "no spaces, please"],
  ] as [(string | number)[], unknown][]) {
    const answer = await post(PATHS[0]!, JSON.stringify(withValueAt(FULL, path, value)));
    expect(statusOf(answer)).toBe(400);
    expect(JSON.parse(answer.body.toString()).error.param).toBe(nameOf(path));
  }
});

test("twenty-five megabytes are read, and more than the limit is not", async () => {
  const body = (bytes: number) => JSON.stringify({ model: "no-such-model", prompt: "x".repeat(bytes) });
  for (const path of PATHS) {
    const large = body(25 * 1024 * 1024);
    const answer = await post(path, large);
    expect(fault(path, answer)).toBeUndefined();
    expect(statusOf(answer)).toBe(404);
  }
  const tooLarge = await post(PATHS[0]!, body(40 * 1024 * 1024));
  expect(statusOf(tooLarge)).toBe(413);
  expect(fault(PATHS[0]!, tooLarge)).toBeUndefined();
});

test("a large body without a declared length is held to the same limit", async () => {
  const head = `POST ${PATHS[0]} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${KEY}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n`;
  const piece = `${(1024 * 1024).toString(16)}\r\n${"x".repeat(1024 * 1024)}\r\n`;
  const small = await sendBytes(server().port, `${head}2\r\n{}\r\n0\r\n\r\n`);
  expect(statusOf(small!)).toBe(400);
  const large = await sendBytes(server().port, `${head}${piece.repeat(40)}0\r\n\r\n`);
  expect(statusOf(large!)).toBe(413);
});

const AUTHORIZATION = `authorization: Bearer ${KEY}\r\n`;
const JSON_BODY = "content-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

/** Heads that are odd but can be answered: by the envelope, or by an answer. */
const ODD_HEADS: Record<string, string> = {
  "a header field of 8 kB": `GET /v1/models HTTP/1.1\r\nhost: x\r\n${AUTHORIZATION}x-long: ${"a".repeat(8_000)}\r\n\r\n`,
  "fifty header fields": `GET /v1/models HTTP/1.1\r\nhost: x\r\n${AUTHORIZATION}${"x-a: b\r\n".repeat(50)}\r\n`,
  "two authorizations": `GET /v1/models HTTP/1.1\r\nhost: x\r\n${AUTHORIZATION}${AUTHORIZATION}\r\n`,
  "two content types": `POST /v1/completions HTTP/1.1\r\nhost: x\r\n${AUTHORIZATION}content-type: text/plain\r\n${JSON_BODY}`,
  "an empty content type": `POST /v1/completions HTTP/1.1\r\nhost: x\r\n${AUTHORIZATION}content-type:\r\ncontent-length: 2\r\n\r\n{}`,
  "no content type": `POST /v1/completions HTTP/1.1\r\nhost: x\r\n${AUTHORIZATION}content-length: 2\r\n\r\n{}`,
  "no body at all": `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n${AUTHORIZATION}\r\n`,
  "a body on GET": `GET /v1/models HTTP/1.1\r\nhost: x\r\n${AUTHORIZATION}${JSON_BODY}`,
  "names in capitals": `GET /v1/models HTTP/1.1\r\nHOST: x\r\nAUTHORIZATION: BEARER ${KEY}\r\n\r\n`,
  "bytes that are not ASCII": `GET /v1/models HTTP/1.1\r\nhost: x\r\n${AUTHORIZATION}x-name: \xe4\xff\r\n\r\n`,
  "a query of 8 kB": `GET /v1/models?q=${"a".repeat(8_000)} HTTP/1.1\r\nhost: x\r\n${AUTHORIZATION}\r\n`,
  "percent signs that mean nothing": `GET /v1/models/%zz%00%ff HTTP/1.1\r\nhost: x\r\n${AUTHORIZATION}\r\n`,
  "dots in the path": `GET /v1/../../etc/passwd HTTP/1.1\r\nhost: x\r\n${AUTHORIZATION}\r\n`,
  "an origin and a cookie": `GET /v1/models HTTP/1.1\r\nhost: x\r\n${AUTHORIZATION}origin: null\r\ncookie: a=b\r\n\r\n`,
  "an encoding of the body": `POST /v1/completions HTTP/1.1\r\nhost: x\r\n${AUTHORIZATION}content-encoding: gzip\r\n${JSON_BODY}`,
};

test.each(Object.entries(ODD_HEADS))("an odd head is answered: %s", async (_, bytes) => {
  const [method, path] = bytes.split(" ", 2) as [string, string];
  const answer = await sendBytes(server().port, Buffer.from(bytes, "latin1"));
  const asked = asMessage(`${method} ${path}`);
  expect(violationsOf({ request: asked, response: answer, hungUp: false, open: false })).toEqual([]);
  expect(statusOf(answer!)).toBeLessThan(500);
});

/** Heads that are no HTTP. The HTTP server itself turns these away, before there is a request to answer. */
const NO_HEADS: Record<string, string> = {
  "an unknown method": `BREW /v1/models HTTP/1.1\r\nhost: x\r\n${AUTHORIZATION}\r\n`,
  garbage: "\u0000\u0001\u0002\r\n\r\n",
  TLS: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
  "an empty line only": "\r\n\r\n",
  "HTTP/9": "GET / HTTP/9.9\r\nhost: x\r\n\r\n",
  "a name with a space": `GET /v1/models HTTP/1.1\r\nhost: x\r\nbad name: x\r\n\r\n`,
  "a NUL in a value": `GET /v1/models HTTP/1.1\r\nhost: x\r\nx-a: \u0000\r\n\r\n`,
  "a header of 2 MB": `GET /v1/models HTTP/1.1\r\nhost: x\r\nx-a: ${"a".repeat(2_000_000)}\r\n\r\n`,
  "a negative length": `POST /v1/completions HTTP/1.1\r\nhost: x\r\n${AUTHORIZATION}content-length: -1\r\n\r\n{}`,
  "a length that is no number": `POST /v1/completions HTTP/1.1\r\nhost: x\r\n${AUTHORIZATION}content-length: ten\r\n\r\n{}`,
  "length and chunks together": `POST /v1/completions HTTP/1.1\r\nhost: x\r\n${AUTHORIZATION}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`,
  "a chunk that is no number": `POST /v1/completions HTTP/1.1\r\nhost: x\r\n${AUTHORIZATION}transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n`,
};

test.each(Object.entries(NO_HEADS))("what is no HTTP is turned away: %s", async (_, bytes) => {
  const answer = await sendBytes(server().port, Buffer.from(bytes, "latin1"), {
    until: (seen) => seen.length > 0,
    timeoutMs: 2_000,
  }).catch(() => null);
  // 505 is HTTP's own word for a version that nobody speaks.
  if (answer) expect([400, 404, 405, 413, 414, 431, 501, 505]).toContain(statusOf(answer));
});

test("a client that leaves in the middle of its body", async () => {
  const head = `POST ${PATHS[0]} HTTP/1.1\r\nhost: x\r\n${AUTHORIZATION}content-type: application/json\r\ncontent-length: 1000\r\n\r\n{"model":`;
  for (let count = 0; count < 50; count++) await sendBytes(server().port, head, { timeoutMs: 5 }).catch(() => null);
});

test("after all of this the same server answers, and nothing surprised it", async () => {
  const answer = await post(PATHS[0]!, JSON.stringify({ model: MODEL, messages: [{ role: "user", content: "Hi" }] }));
  expect(statusOf(answer)).toBe(200);
  expect(server().process.exitCode).toBeNull();
  expect(
    server()
      .logs()
      .split("\n")
      .filter((line) => line.includes("failed unexpectedly")),
  ).toEqual([]);
});
