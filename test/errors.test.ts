// Every row of the error table, provoked over HTTP: status, type and code by the table, and the words, the field and the
// header fields that clients act on.

import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { ERRORS, type ErrorKind, type ErrorName } from "@oxbow/contract";
import { whileDiskIsFull } from "./disk.ts";
import {
  AUTH,
  ask,
  BROKEN,
  chat,
  closeServers,
  dataUrl,
  files,
  HEAD,
  HEARS,
  hear,
  IMAGE,
  imagePart,
  LOADING,
  openServers,
  PRO,
  refusedWhileDraining,
  respond,
  SEES,
  SLOW,
  SPEAKS,
  schema,
  see,
  server,
  tight,
  tool,
  whileBusy,
} from "./error-servers.ts";
import { eventually, KEY } from "./harness.ts";
import { headerOf, type Message, request, sendBytes, statusOf } from "./http.ts";
import { pngHead } from "./images.ts";
import { makeMember } from "./members.ts";
import { formOf, wavOf } from "./recordings.ts";
import { HELLO, MODEL } from "./suite.ts";

setDefaultTimeout(20_000);

beforeAll(openServers, 90_000);
afterAll(closeServers);

interface Provocation {
  how: () => Promise<Message | null>;
  message: RegExp;
  param?: string;
  headers?: Record<string, RegExp>;
}

const RETRY_SOON = { "retry-after": /^[1-9]\d*$/, "retry-after-ms": /^[1-9]\d*$/ };
const NO_RETRY = { "x-should-retry": /^false$/ };

const PROVOCATIONS: Record<ErrorName, Provocation> = {
  invalid_json: { how: () => ask('{"model":'), message: /^We could not parse the JSON body of your request\./ },
  missing_required_parameter: {
    how: () => ask({ model: MODEL }),
    message: /^Missing required parameter: 'messages'\.$/,
    param: "messages",
  },
  empty_array: {
    how: () => chat({ messages: [] }),
    message:
      /^Invalid 'messages': empty array\. Expected an array with minimum length 1, but got an empty array instead\.$/,
    param: "messages",
  },
  invalid_type: {
    how: () => chat({ max_tokens: "many" }),
    message: /^Invalid type for 'max_tokens': expected an integer, but got a string instead\.$/,
    param: "max_tokens",
  },
  invalid_value: {
    how: () => chat({ service_tier: "gold" }),
    message: /^Invalid value: 'gold'\. Supported values are: 'auto', .* and '\w+'\.$/,
    param: "service_tier",
  },
  integer_below_min_value: {
    how: () => chat({ max_tokens: -1 }),
    message: /^Invalid 'max_tokens': integer below minimum value\. Expected a value >= 1, but got -1 instead\.$/,
    param: "max_tokens",
  },
  integer_above_max_value: {
    how: () => chat({ n: 1_000 }),
    message: /^Invalid 'n': integer above maximum value\. Expected a value <= 128, but got 1000 instead\.$/,
    param: "n",
  },
  decimal_below_min_value: {
    how: () => chat({ top_p: -0.5 }),
    message: /^Invalid 'top_p': decimal below minimum value\. Expected a value >= 0, but got -0\.5 instead\.$/,
    param: "top_p",
  },
  decimal_above_max_value: {
    how: () => chat({ temperature: 100 }),
    message: /^Invalid 'temperature': decimal above maximum value\. Expected a value <= 2, but got 100\.0 instead\.$/,
    param: "temperature",
  },
  string_below_min_length: {
    how: () => chat({ tools: [tool("")] }),
    message: /^Invalid 'tools\[0\]\.function\.name': string too short\./,
    param: "tools[0].function.name",
  },
  string_above_max_length: {
    how: () => chat({ safety_identifier: "x".repeat(65) }),
    message: /^Invalid 'safety_identifier': string too long\. Expected a string with maximum length 64/,
    param: "safety_identifier",
  },
  array_above_max_length: {
    how: () => chat({ stop: ["a", "b", "c", "d", "e"] }),
    message: /^Invalid 'stop': array too long\. Expected an array with maximum length 4/,
    param: "stop",
  },
  object_above_max_properties: {
    how: () => chat({ metadata: Object.fromEntries(Array.from({ length: 17 }, (_, at) => [`k${at}`, "v"])) }),
    message: /^Invalid 'metadata': too many properties\./,
    param: "metadata",
  },
  unsupported_parameter: {
    how: () => chat({ prediction: { type: "content", content: "x" } }),
    message: /^Unsupported parameter: 'prediction' is not supported with /,
    param: "prediction",
  },
  unsupported_value: {
    how: () => chat({ modalities: ["text", "audio"] }),
    message: /^Unsupported value: 'modalities' does not support 'audio' with /,
    param: "modalities",
  },
  invalid_combination: {
    how: () => chat({ stream_options: { include_usage: true } }),
    message: /^The 'stream_options' parameter is only allowed when 'stream' is enabled\.$/,
    param: "stream_options",
  },
  invalid_function_parameters: {
    how: () => chat({ tools: [{ type: "function", function: { name: "f", parameters: { type: "string" } } }] }),
    message: /^Invalid schema for function 'f'/,
    param: "tools[0].function.parameters",
  },
  invalid_schema: {
    how: () => chat({ response_format: schema({ $ref: "#/$defs/nowhere" }) }),
    message: /schema/i,
    param: "response_format",
  },
  context_length_exceeded: {
    how: () => chat({ model: "tiny", messages: [{ role: "user", content: "word ".repeat(50_000) }] }),
    message:
      /^This model's maximum context length is \d+ tokens\. However, your messages resulted in \d+ tokens\. Please reduce the length of the messages\.$/,
    param: "messages",
  },
  previous_response_not_found: {
    how: () => respond({ input: "Go on.", previous_response_id: "resp_123" }),
    message: /^Previous response with id 'resp_123' not found\./,
    param: "previous_response_id",
  },
  invalid_form: {
    how: () => {
      const { body, headers } = formOf({ model: HEARS }, wavOf(1));
      const options = { headers: { ...AUTH, ...headers }, body: body.subarray(0, -20) };
      return request(server.tap.port, "POST", "/v1/audio/transcriptions", options);
    },
    message:
      /^Could not parse the form of your request: it ends in the middle of a part, or its boundaries are wrong\.$/,
  },
  input_limit_exceeded: {
    how: () => hear({}, wavOf(3), tight),
    message:
      /^Your file has 3 seconds of audio, but the plan Enterprise \(2026\) allows 2 seconds of audio a request\. Please send a shorter recording, or a long one in parts\. Free \(2026\) allows 600\.$/,
    param: "file",
  },
  string_too_long: {
    how: () => {
      const body = JSON.stringify({ model: SPEAKS, voice: "af_heart", input: "😀".repeat(4097) });
      return request(server.tap.port, "POST", "/v1/audio/speech", { headers: AUTH, body });
    },
    message:
      /^Invalid 'input': string too long\. Expected a string with maximum length 4096, but got a string with length 4097 instead\.$/,
    param: "input",
  },
  output_limit_exceeded: {
    how: () =>
      request(tight.tap.port, "POST", "/v1/completions", {
        headers: AUTH,
        body: JSON.stringify({ model: MODEL, prompt: Array.from({ length: 2048 }, () => "x"), n: 128 }),
      }),
    message:
      /^You asked for 262144 answers in one call, but the plan Enterprise \(2026\) allows 200000 output tokens a request/,
    param: "n",
  },
  model_not_allowed: {
    how: () => chat({ model: PRO }, tight),
    message:
      /^The model `qwen-14b` is of the tier pro, which the plan Enterprise \(2026\) does not have\. Pro \(2026\) and Premium \(2026\) have it\.$/,
    param: "model",
  },
  missing_api_key: {
    how: () => ask({ model: MODEL, messages: HELLO }, server, {}),
    message:
      /^You didn't provide an API key\. You need to provide your API key in an Authorization header using Bearer auth/,
  },
  invalid_api_key: {
    how: () => ask({ model: MODEL, messages: HELLO }, server, { authorization: "Bearer sk-0123456789abcdefghij" }),
    message: /^Incorrect API key provided: (?!.*0123456789abcdef).*\*/,
  },
  insufficient_permissions: {
    how: async () => {
      const authorization = `Bearer ${await makeMember(server.home, "a member", "pro")}`;
      return request(server.tap.port, "GET", "/v1/queue", { headers: { authorization } });
    },
    message: /^Only a key of an admin account may see who waits\.$/,
  },
  model_not_found: {
    how: () => chat({ model: "no-such-model" }),
    message: /^The model `no-such-model` does not exist or you do not have access to it\./,
  },
  object_not_found: {
    how: () => request(server.tap.port, "GET", "/v1/responses/resp_123", { headers: AUTH }),
    message: /^Response with id 'resp_123' not found\./,
  },
  unknown_url: {
    how: () => request(server.tap.port, "POST", "/v1/nothing", { headers: AUTH, body: "{}" }),
    message: /^Invalid URL \(POST \/v1\/nothing\)$/,
  },
  method_not_supported: {
    how: () => request(server.tap.port, "GET", "/v1/chat/completions", { headers: AUTH }),
    message:
      /^Not allowed to GET on \/v1\/chat\/completions\. \(HINT: Perhaps you meant to use a different HTTP method\?\)$/,
    headers: { allow: /POST/ },
  },
  request_timeout: {
    how: () =>
      sendBytes(tight.tap.port, `${HEAD}content-type: application/json\r\ncontent-length: 100\r\n\r\n{"model"`),
    message: /body did not arrive/,
  },
  body_too_large: {
    how: () => chat({ messages: [{ role: "user", content: "x".repeat(120_000) }] }, tight),
    message: /^Maximum content size limit \(100000\) exceeded \(\d+ bytes read\)$/,
  },
  unsupported_media_type: {
    how: () => ask("model=x", server, { ...AUTH, "content-type": "application/x-www-form-urlencoded" }),
    message: /^Unsupported Content-Type: 'application\/x-www-form-urlencoded'\./,
  },
  idempotency_key_reuse: {
    how: async () => {
      await chat({}, server, { ...AUTH, "idempotency-key": "reused" });
      return chat({ seed: 2 }, server, { ...AUTH, "idempotency-key": "reused" });
    },
    message: /^This Idempotency-Key was used with another path or body\./,
    headers: NO_RETRY,
  },
  idempotency_in_flight: {
    how: async () => {
      const call = () => chat({ x_simulate: { ttftMs: 500 } }, server, { ...AUTH, "idempotency-key": "running" });
      const both = [call(), call()];
      const refused = await Promise.race(both);
      await Promise.all(both);
      return refused;
    },
    message: /^A request with this Idempotency-Key is still running\. Please try again in 1s\.$/,
    headers: { "retry-after": /^1$/, "retry-after-ms": /^1000$/ },
  },
  idempotency_answer_not_kept: {
    how: async () => {
      const large = {
        stream: true,
        logprobs: true,
        top_logprobs: 20,
        x_simulate: { tokens: 12_000, ttftMs: 0, itlMs: 0 },
      };
      const headers = { ...AUTH, "idempotency-key": "large" };
      expect((await chat(large, server, headers))!.body.length).toBeGreaterThan(16 << 20);
      return chat(large, server, headers);
    },
    message: /^The request with this Idempotency-Key was answered and counted, but its answer was too large/,
    headers: NO_RETRY,
  },
  rate_limit_exceeded: {
    how: () => chat({ model: "fault-429" }),
    message: /Please try again in 1\.35s\.$/,
    headers: { "retry-after": /^2$/, "retry-after-ms": /^1350$/ },
  },
  insufficient_quota: {
    how: () => chat({ model: "fault-quota" }),
    message: /^You exceeded your current quota/,
    headers: NO_RETRY,
  },
  internal_error: { how: () => chat({ model: "fault-500" }), message: /^The server had an error while processing/ },
  engine_failed: { how: () => chat({ model: "fault-empty" }), message: /engine.*again/i },
  engine_interrupted: { how: () => chat({ model: "fault-disconnect", stream: true }), message: /engine/i },
  model_not_ready: {
    how: () => chat({ model: LOADING }, tight),
    message: /./,
    headers: RETRY_SOON,
  },
  model_failed: {
    // Loaded when it is first asked for: until it has failed it is not ready.
    how: () =>
      eventually(async () => {
        const answer = (await chat({ model: BROKEN }, tight))!;
        return errorOf(answer).code === "model_not_ready" ? null : answer;
      }, "the model has failed"),
    message: /./,
    headers: NO_RETRY,
  },
  ledger_unavailable: {
    how: async () => {
      const refused = await whileDiskIsFull(server.pid, () => chat({}));
      const ready = async () => (await fetch(`http://127.0.0.1:${server.port}/ready`)).ok;
      await eventually(ready, "the server can write again");
      return refused;
    },
    message: /^The server cannot record requests at the moment/,
    headers: RETRY_SOON,
  },
  invalid_image_url: {
    how: () => see("http://169.254.169.254/latest/meta-data/"),
    message: /^The URL is not fetched: its host has no public address\.$/,
    param: IMAGE,
  },
  failed_to_download_image: {
    how: () => see(`${files.origin}/missing`),
    message: /^The URL could not be fetched: its server answered with status 404\.$/,
    param: IMAGE,
  },
  invalid_base64_image: { how: () => see("data:image/png;base64,***"), message: /not written in base64/, param: IMAGE },
  empty_image_file: { how: () => see("data:image/png;base64,"), message: /^The image is empty\.$/, param: IMAGE },
  invalid_image_format: {
    how: () => see(dataUrl(Buffer.from("<svg/>"))),
    message: /^The image is none\. Images may be JPEG, PNG/,
    param: IMAGE,
  },
  image_parse_error: {
    how: () => see(dataUrl(pngHead(64, 64))),
    message: /damaged, or cut short/,
    param: IMAGE,
  },
  image_too_large: {
    how: () => see(dataUrl(pngHead(50_000, 50_000))),
    message: /^The image has more than 40000000 pixels\.$/,
    param: IMAGE,
  },
  image_file_too_large: {
    how: () => see(dataUrl(pngHead(64, 64, 2_000)), tight),
    message: /^The image is larger than 1024 bytes\.$/,
    param: IMAGE,
  },
  too_many_images: {
    how: () => chat({ model: SEES, messages: [{ role: "user", content: Array(33).fill(imagePart("data:,")) }] }),
    message: /^A call may carry 32 images, but this one carries 33\.$/,
    param: "messages",
  },
  bodies_full: {
    how: async () => {
      const large = `${HEAD}content-type: application/json\r\ncontent-length: 99000\r\n\r\n{`;
      // The first waits for bytes that do not come.
      const [first, second] = [sendBytes(tight.tap.port, large), sendBytes(tight.tap.port, large)];
      const refused = await Promise.race([first, second]);
      await Promise.all([first, second]);
      return refused;
    },
    message: /^The server holds as many bytes of bodies as it can\. Please try again in [\d.]+s\.$/,
    headers: RETRY_SOON,
  },
  queue_full: {
    how: () =>
      whileBusy(async () => {
        const inLine = chat({}, tight);
        const refused = await Promise.race([chat({}, tight), inLine]);
        await inLine;
        return refused;
      }),
    message: /calls? (is|are) already waiting/,
    headers: RETRY_SOON,
  },
  queue_timeout: {
    how: () => whileBusy(() => chat({}, tight)),
    message: /^No engine was free within 0\.4 s/,
    headers: RETRY_SOON,
  },
  shutting_down: { how: refusedWhileDraining, message: /shutting down/, headers: RETRY_SOON },
  engine_timeout: { how: () => chat(SLOW, tight), message: /engine/i },
};

/** The envelope, of an answer or of the last event of a stream. */
function errorOf(answer: Message): { code: string | null } {
  const text = answer.body.toString();
  return JSON.parse(text.startsWith("{") ? text : text.slice(text.lastIndexOf("data: ") + 6)).error;
}

test.each(Object.keys(ERRORS) as ErrorName[])("%s", async (row) => {
  const provocation = PROVOCATIONS[row];
  if (!provocation) throw new Error(`no provocation is known for the row ${row}`);
  const { how, message, param = null, headers = {} } = provocation;
  const { status, type, code } = ERRORS[row] as ErrorKind;
  const answer = (await how())!;
  expect<unknown>(errorOf(answer)).toEqual({ message: expect.stringMatching(message), type, param, code });
  const inStream = headerOf(answer, "content-type")!.startsWith("text/event-stream");
  expect(inStream).toBe(row === "engine_interrupted");
  expect(statusOf(answer)).toBe(inStream ? 200 : status);
  for (const [name, value] of Object.entries(headers)) expect(headerOf(answer, name)).toMatch(value);
});

test("every provocation is for a row that exists", () => {
  expect(Object.keys(PROVOCATIONS).sort()).toEqual(Object.keys(ERRORS).sort());
});

test("what is not worth repeating says so, and what is does not", () => {
  for (const { request: asked, response } of [server, tight].flatMap(({ tap }) => tap.exchanges())) {
    const status = response ? statusOf(response) : 0;
    if (status < 429 || !asked.complete) continue;
    const { code } = errorOf(response!) as { code: string | null };
    const rows = Object.values(ERRORS).filter((kind) => kind.status === status && kind.code === code);
    const stays = rows.length > 0 && rows.every((kind) => !kind.retry);
    expect([code, headerOf(response!, "x-should-retry")]).toEqual([code, stays ? "false" : null]);
  }
});

test("neither keys nor prompts are in errors or logs", () => {
  for (const each of [server, tight]) {
    expect(each.logs()).not.toContain(KEY);
    expect(each.logs()).not.toContain(HELLO[0]!.content);
    each.assertTraffic();
  }
});
