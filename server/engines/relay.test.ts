import { afterAll, expect, test } from "bun:test";
import { type AddressInfo, createServer } from "node:net";
import { ApiError, RelayedError } from "@oxbow/contract";
import fc from "fast-check";
import { readAnswer, readWhole } from "./relay.ts";
import { bytesOf, events, framesOf, textOf } from "./testing.ts";

/** A real engine's side of the wire: answers with what the path names. */
const answers = new Map<string, () => Response>();
const server = Bun.serve({
  port: 0,
  hostname: "127.0.0.1",
  fetch: (request) => answers.get(new URL(request.url).pathname)!(),
});
afterAll(() => server.stop(true));

let count = 0;
async function answer(response: () => Response, calledAs?: string) {
  const path = `/${count++}`;
  answers.set(path, response);
  return readAnswer(await fetch(new URL(path, server.url)), calledAs);
}

async function read(response: () => Response) {
  return framesOf(await answer(response));
}

const STREAM =
  'data: {"a":"é😀 data: {\\"error\\""}\n\ndata: {"b":2}\n\n: keepalive\ndata: {"c":"x"}\n\ndata: [DONE]\n\n';

test("whatever the chunk borders, the same bytes come out, in whole events, and the end is seen", async () => {
  const whole = bytesOf(STREAM);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(whole.length), { maxLength: 8 }), async (cuts) => {
      const borders = [0, ...cuts.sort((a, b) => a - b), whole.length];
      const parts = borders.slice(1).map((end, index) => whole.subarray(borders[index], end));
      const frames = await read(() => events(parts.filter((part) => part.length > 0)));
      expect(textOf(frames)).toBe(STREAM);
      expect(frames.at(-1)).toMatchObject({ last: true, error: null });
      for (const frame of frames) expect(textOf([frame]).endsWith("\n\n")).toBe(true);
    }),
    { numRuns: 60 },
  );
});

test("an error event ends the stream: nothing after it is passed on", async () => {
  const frames = await read(() =>
    events([bytesOf('data: {"a":1}\n\ndata: {"error":{"message":"m"}}\n\ndata: [DONE]\n\n')]),
  );
  expect(textOf(frames)).toBe('data: {"a":1}\n\ndata: {"error":{"message":"m"}}\n\n');
  expect(frames.at(-1)?.last).toBe(true);
});

test("a stream that ends without [DONE], or breaks off, is not taken for finished", async () => {
  const early = await read(() => events([bytesOf('data: {"a":1}\n\n')])).catch((thrown) => thrown);
  expect((early as ApiError).row).toBe("engine_interrupted");

  const cut = createServer((socket) => {
    socket.once("data", () => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
      socket.write('e\r\ndata: {"a":1}\n\r\n', () => socket.destroy());
    });
  });
  await new Promise<void>((resolve) => cut.listen(0, "127.0.0.1", resolve));
  const { port } = cut.address() as AddressInfo;
  const got = await readAnswer(await fetch(`http://127.0.0.1:${port}/`));
  const error = await framesOf(got).catch((thrown) => thrown);
  expect((error as ApiError).row).toBe("engine_interrupted");
  cut.close();
});

test("what is no event is not passed on, and what was good before it is", async () => {
  const good = 'data: {"a":1}\n\n';
  for (const junk of ["\u0000 junk\n\n", 'data: {"id":"x","choices":[{"ind\n\n', "data: \n\n", "<html>\n\n"]) {
    for (const parts of [[good + junk], [good, junk], [`${good}${junk}data: [DONE]\n\n`]]) {
      const got = await answer(() => events(parts.map(bytesOf)));
      if (got.kind !== "stream") throw new Error("not a stream");
      expect(textOf([(await got.events.next())!])).toBe(good);
      const error = await got.events.next().catch((thrown) => thrown);
      expect((error as ApiError).row).toBe("engine_interrupted");
      expect(await got.events.next()).toBeNull();
    }
  }
  expect(textOf(await read(() => events([bytesOf(`${good}data: [DONE]\n\njunk\n\n`)])))).toBe(
    `${good}data: [DONE]\n\n`,
  );
});

test("what follows [DONE] is of no interest", async () => {
  expect(textOf(await read(() => events([bytesOf("data: [DONE]\n\n"), bytesOf("junk")])))).toBe("data: [DONE]\n\n");
});

test("an engine's refusal keeps its status, words and retry fields", async () => {
  const body = { error: { message: "slow down", type: "requests", param: null, code: "rate_limit_exceeded" } };
  const headers = { "retry-after": "2", "retry-after-ms": "1350", "x-private": "1" };
  const error = await answer(() => Response.json(body, { status: 429, headers })).catch((thrown) => thrown);
  expect(error).toBeInstanceOf(RelayedError);
  expect(error.status).toBe(429);
  expect(error.body).toEqual(body);
  expect(error.headers).toEqual({ "retry-after": "2", "retry-after-ms": "1350" });
});

test("a refusal with gaps is completed, and a code that is a number is no code", async () => {
  const body = { error: { message: "bad", code: 400 } };
  const error = await answer(() => Response.json(body, { status: 400 })).catch((thrown) => thrown);
  expect(error.body).toEqual({ error: { message: "bad", type: "server_error", param: null, code: null } });
});

test("what is not an answer is a failure of the engine, never passed on", async () => {
  const cases: (() => Response)[] = [
    () => new Response("<html>", { status: 500, headers: { "content-type": "text/html" } }),
    () => Response.json({ error: { message: "our key is wrong" } }, { status: 401 }),
    () => Response.json({ error: { message: "in a 200" } }),
    () => new Response("hello", { headers: { "content-type": "text/plain" } }),
    () => new Response('{"id":"x","choices":[{"ind', { headers: { "content-type": "application/json" } }),
  ];
  for (const response of cases) {
    const error = await answer(response).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(ApiError);
    expect((error as ApiError).row).toBe("engine_failed");
  }
});

test("a whole answer is passed on byte for byte", async () => {
  const text = '{ "id":"x",  "seed": 12345678901234567890 }';
  const got = await answer(() => new Response(text, { headers: { "content-type": "application/json" } }));
  expect(got.kind === "whole" && Buffer.from(got.bytes).toString()).toBe(text);
});

test("an error event tells whose fault it was, for a status that can still be sent", async () => {
  const event = (type: string) =>
    `data: {"error":{"message":"too long","type":"${type}","param":"messages","code":"c"}}\n\n`;
  const [theirs] = await read(() => events([bytesOf(event("invalid_request_error"))]));
  expect(theirs!.error).toMatchObject({ status: 400 });
  const [engines] = await read(() => events([bytesOf(event("server_error"))]));
  expect(engines!.error).toMatchObject({ status: 502 });
});

const COMMENT = ': usage {"prompt_tokens":7,"completion_tokens":9}\n';
const FINISHED =
  'data: {"t":"\\"finish_reason\\":\\"stop\\"","finish_reason":null}\n\n' +
  'data: {"finish_reason":"stop"}\n\ndata: {"finish_reason": "length"}\n\ndata: [DONE]\n\n';

test("whatever the chunk borders, finishes are counted, and the token counts behind [DONE] are read and taken out", async () => {
  const whole = bytesOf(FINISHED + COMMENT);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(whole.length), { maxLength: 8 }), async (cuts) => {
      const borders = [0, ...cuts.sort((a, b) => a - b), whole.length];
      const parts = borders.slice(1).map((end, index) => whole.subarray(borders[index], end));
      const given = parts.filter((part) => part.length > 0);
      const frames = await read(() => events(given, { "x-oxbow-usage": "1" }));
      expect(textOf(frames)).toBe(FINISHED);
      expect(frames.reduce((sum, { finishes }) => sum + finishes, 0)).toBe(2);
      expect(frames.at(-1)).toMatchObject({ last: true, usage: { prompt_tokens: 7, completion_tokens: 9 } });
    }),
    { numRuns: 60 },
  );
});

test("counts that were promised and never come do not spoil the answer", async () => {
  const frames = await read(() => events([bytesOf(FINISHED), bytesOf(": usage")], { "x-oxbow-usage": "1" }));
  expect(textOf(frames)).toBe(FINISHED);
  expect(frames.at(-1)).toMatchObject({ last: true, usage: null });
});

test("an error event is a frame of its own, whatever came with it", async () => {
  const frames = await read(() =>
    events([bytesOf('data: {"finish_reason":"stop"}\n\ndata: {"error":{"message":"m"}}\n\ndata: [DONE]\n\n')]),
  );
  expect(frames.map(({ last, error }) => [last, error !== null])).toEqual([
    [false, false],
    [true, true],
  ]);
});

test("an engine that tells its counts in an event, or in a whole answer, is understood as well", async () => {
  const usage = '"usage": {"prompt_tokens": 3, "total_tokens": 5, "completion_tokens": 2, "d": {"cached_tokens": 1}}';
  const frames = await read(() =>
    events([
      bytesOf('data: {"finish_reason":"stop","usage":null}\n\n'),
      bytesOf(`data: {"choices":[],${usage}}\n\n`),
      bytesOf("data: [DONE]\n\n"),
    ]),
  );
  expect(frames.at(-1)!.usage).toEqual({ prompt_tokens: 3, completion_tokens: 2 });
  const text = `{"choices":[{"text":"\\"usage\\":{\\"prompt_tokens\\":99}"}],${usage}}`;
  const whole = await answer(() => new Response(text, { headers: { "content-type": "application/json" } }));
  expect(whole).toMatchObject({ kind: "whole", usage: { prompt_tokens: 3, completion_tokens: 2 } });
});

const TRANSCRIPT = [
  'data: {"type":"transcript.text.delta","delta":"Hello \\"type\\":\\"transcript.text.done\\""}\n\n',
  'data: {"type": "transcript.text.done","text":"Hello","usage":{"type":"tokens","input_tokens":14,"output_tokens":9}}\n\n',
];

test("a transcript ends with its own last event, with [DONE] behind it or without, and tells its tokens", async () => {
  for (const more of [[], ["data: [DONE]\n\n"], [": keepalive\n"]]) {
    const parts = [...TRANSCRIPT, ...more].map(bytesOf);
    const frames = await framesOf(await answer(() => events(parts), "/v1/audio/transcriptions"));
    expect(textOf(frames)).toStartWith(TRANSCRIPT.join(""));
    expect(frames.reduce((sum, { finishes }) => sum + finishes, 0)).toBe(1);
    expect(frames.at(-1)).toMatchObject({ last: true, usage: { prompt_tokens: 14, completion_tokens: 9 } });
  }
  const cut = answer(() => events([bytesOf(TRANSCRIPT[0]!)]), "/v1/audio/transcriptions").then(framesOf);
  expect((await cut.catch((thrown) => thrown)).row).toBe("engine_interrupted");
});

test("sound is handed on as it comes, and its last byte only once the engine has ended well", async () => {
  const ending = Promise.withResolvers<boolean>();
  const speak = () => {
    const body = new ReadableStream<Uint8Array>({
      async start(controller) {
        controller.enqueue(bytesOf("a"));
        controller.enqueue(bytesOf("bcd"));
        if (await ending.promise) controller.close();
        else controller.error(new Error("gone"));
      },
    });
    return new Response(body, { headers: { "content-type": "audio/mpeg" } });
  };
  const got = await answer(speak, "/v1/audio/speech");
  if (got.kind !== "bytes") throw new Error("not bytes");
  expect(got.contentType).toBe("audio/mpeg");
  let said = "";
  while (said.length < 3) {
    const frame = await got.events.next();
    expect(frame).toMatchObject({ last: false, finishes: 0 });
    said += textOf([frame!]);
  }
  expect(said).toBe("abc");
  ending.resolve(true);
  const last = await got.events.next();
  expect(last).toMatchObject({ last: true, finishes: 1 });
  expect(said + textOf([last!])).toBe("abcd");
  expect(await got.events.next()).toBeNull();
});

test("sound that breaks off is not taken for finished, and neither is an empty answer", async () => {
  const raw = (pieces: string[], length: number) => {
    const head = `HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ncontent-length: ${length}\r\n\r\n`;
    const rude = createServer((connection) => connection.once("data", () => connection.end(head + pieces.join(""))));
    return new Promise<Response>((resolve, reject) => {
      rude.listen(0, "127.0.0.1", () => {
        const { port } = rude.address() as AddressInfo;
        fetch(`http://127.0.0.1:${port}/`)
          .then(resolve, reject)
          .finally(() => rude.close());
      });
    });
  };
  for (const response of [await raw(["abc"], 9), new Response("", { headers: { "content-type": "audio/wav" } })]) {
    const reading = readAnswer(response, "/v1/audio/speech").then(framesOf);
    const error = await reading.catch((thrown) => thrown);
    expect(error).toBeInstanceOf(ApiError);
  }
});

test("a text is an answer where the endpoint has texts, and nowhere else", async () => {
  const text = () =>
    new Response("1\n00:00:00,000 --> 00:00:01,000\nHi\n", { headers: { "content-type": "text/plain" } });
  expect(await answer(text, "/v1/audio/transcriptions")).toMatchObject({ kind: "whole", contentType: "text/plain" });
  for (const path of ["/v1/chat/completions", "/v1/images/generations"]) {
    expect((await answer(text, path).catch((thrown) => thrown)).row).toBe("engine_failed");
  }
});

test("a whole answer without an end is given up before it takes the memory of all", async () => {
  let sent = 0;
  const endless = () =>
    new Response(
      new ReadableStream({
        pull: (controller) => {
          sent += 64;
          controller.enqueue(new Uint8Array(64).fill(0x20));
        },
      }),
      { headers: { "content-type": "application/json" } },
    );
  await expect(readWhole(endless(), 4_096)).rejects.toThrow("could not be understood");
  expect(sent).toBeLessThan(10_000);
  const said = new Response(new Uint8Array(5_000), { headers: { "content-length": "5000" } });
  await expect(readWhole(said, 4_096)).rejects.toThrow("could not be understood");
  expect((await readWhole(new Response(new Uint8Array(4_096)), 4_096)).length).toBe(4_096);
});
