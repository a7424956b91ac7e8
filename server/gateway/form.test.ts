import { expect, test } from "bun:test";
import { ApiError, bodyOfForm, type Form, readWrittenForm, renameModel, writeForm } from "@oxbow/contract";
import fc from "fast-check";
import Type from "typebox";
import { createExchange } from "./exchange.ts";
import { readForm } from "./form.ts";
import type { Rooms } from "./rooms.ts";

const LIMITS = { bodyIdleMsMax: 200, bodyBytesPerSecondMin: 1_000 };
const BOUNDARY = "--b";

/** Reads what a client sends in pieces of their own. */
function read(pieces: (string | Uint8Array)[], contentType = `multipart/form-data; boundary=${BOUNDARY}`, more = {}) {
  const body = new ReadableStream<Uint8Array>({
    async start(controller) {
      for (const piece of pieces) {
        controller.enqueue(typeof piece === "string" ? Buffer.from(piece) : piece);
        await Promise.resolve();
      }
      controller.close();
    },
  });
  const headers = { "content-type": contentType };
  const request = new Request("http://x/v1/audio/transcriptions", { method: "POST", body, headers });
  const exchange = createExchange(request, "/", { limits: LIMITS } as unknown as Rooms);
  return readForm(exchange, { bytesMax: 100_000, ...more });
}

const field = (name: string, value: string) =>
  `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
const file = (name: string, filename: string, content: string, type = "audio/wav") =>
  `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"; filename="${filename}"\r\nContent-Type: ${type}\r\n\r\n${content}\r\n`;
const END = `--${BOUNDARY}--\r\n`;

const refusalOf = async (reading: Promise<Form>) => {
  const error = await reading.then(
    () => null,
    (thrown) => thrown,
  );
  expect(error).toBeInstanceOf(ApiError);
  return [(error as ApiError).row, (error as ApiError).message] as const;
};

test("fields and files come out, arrays folded however their name is spelled", async () => {
  const body =
    field("model", "é€") +
    field("include[]", "a") +
    field("include[0]", "b") +
    field("include", "c") +
    field("expires_after[anchor]", "created_at") +
    file("image[]", "one.png", "1", "application/octet-stream") +
    file("image[]", "../../two é.png", "22") +
    file("mask", "", "");
  const { fields, files } = await read([body + END]);
  expect(Object.fromEntries(fields)).toEqual({
    model: ["é€"],
    include: ["a", "b", "c"],
    "expires_after[anchor]": ["created_at"],
  });
  expect(files.map(({ name, filename, bytes }) => [name, filename, Buffer.from(bytes).toString()])).toEqual([
    ["image", "one.png", "1"],
    ["image", "two é.png", "22"],
    ["mask", "", ""],
  ]);
});

test("whatever the borders of the network's pieces, the bytes of a file stay what they were", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 600 }), fc.array(fc.nat(900), { maxLength: 6 }), async (data, cuts) => {
      const whole = Buffer.concat([
        Buffer.from(field("model", "m") + file("file", "a", "").slice(0, -2)),
        data,
        Buffer.from(`\r\n${END}`),
      ]);
      const borders = [0, ...cuts.filter((cut) => cut < whole.length).sort((a, b) => a - b), whole.length];
      const pieces = borders.slice(1).map((end, index) => whole.subarray(borders[index], end));
      const { files } = await read(pieces.filter(({ length }) => length > 0));
      expect(Buffer.from(files[0]!.bytes)).toEqual(Buffer.from(data));
    }),
    { numRuns: 100 },
  );
});

test("what is broken off, has wrong boundaries or is no form is refused with a reason", async () => {
  const whole = field("model", "m") + file("file", "a.wav", "abc") + END;
  for (const cut of [0, 10, 60, whole.length - 60, whole.length - 8]) {
    const [row, text] = await refusalOf(read([whole.slice(0, cut)]));
    expect(row).toBe("invalid_form");
    expect(text).toContain("it ends in the middle of a part");
  }
  expect((await refusalOf(read([whole], "multipart/form-data; boundary=other")))[0]).toBe("invalid_form");
  expect((await refusalOf(read([whole], "multipart/form-data")))[1]).toContain("names no boundary");
  expect((await refusalOf(read([whole.replaceAll("\r\n", "\n")])))[0]).toBe("invalid_form");
  expect((await refusalOf(read(["{}"], "application/json")))[0]).toBe("unsupported_media_type");
  const nameless = `--${BOUNDARY}\r\nContent-Disposition: form-data\r\n\r\nx\r\n`;
  expect((await refusalOf(read([nameless + END])))[1]).toContain("a part has no name");
});

test("a hundred parts are read, one more is refused, and so is a body or a field beyond its bytes", async () => {
  const parts = (count: number) => Array.from({ length: count }, (_, index) => field(`a${index}`, "x")).join("") + END;
  expect((await read([parts(100)])).fields.size).toBe(100);
  expect((await refusalOf(read([parts(101)])))[1]).toContain("more than 100 parts");
  const [row, text] = await refusalOf(read([file("file", "a", "x".repeat(60_000)), "y".repeat(60_000)]));
  expect(row).toBe("body_too_large");
  expect(text).toMatch(/^Maximum content size limit \(100000\) exceeded \(\d+ bytes read\)$/);
  const long = field("prompt", "x".repeat(1024 * 1024 + 1)) + END;
  expect((await refusalOf(read([long], undefined, { bytesMax: 4_000_000 })))[1]).toContain("'prompt' is longer");
});

test("parts count though they have no name, wherever the network cuts their bytes", async () => {
  const nameless = `--${BOUNDARY}\r\n\r\n\r\n`;
  const form = (count: number) => field("model", "x") + nameless.repeat(count) + END;
  expect((await read([form(99)])).fields.size).toBe(1);
  expect((await refusalOf(read([form(100)])))[1]).toContain("more than 100 parts");
  const started = performance.now();
  const bytesMax = 32_000_000;
  expect((await refusalOf(read([form(1_000_000)], undefined, { bytesMax })))[1]).toContain("more than 100 parts");
  expect(performance.now() - started).toBeLessThan(2_000);
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(99, 100),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
      async (count, sizes) => {
        const bytes = Buffer.from(form(count));
        const pieces: Uint8Array[] = [];
        for (let at = 0, turn = 0; at < bytes.length; turn++) {
          const size = sizes[turn % sizes.length]!;
          pieces.push(bytes.subarray(at, at + size));
          at += size;
        }
        const row = await read(pieces).then(
          () => "read",
          (error) => error.row,
        );
        expect([count, row]).toEqual([count, count === 99 ? "read" : "invalid_form"]);
      },
    ),
    { numRuns: 30 },
  );
});

test("a client that stops in the middle is told so", async () => {
  const body = new ReadableStream<Uint8Array>({ start: (c) => c.enqueue(Buffer.from(field("model", "m"))) });
  const headers = { "content-type": `multipart/form-data; boundary=${BOUNDARY}` };
  const request = new Request("http://x/", { method: "POST", body, headers });
  const exchange = createExchange(request, "/", { limits: { ...LIMITS, bodyIdleMsMax: 20 } } as unknown as Rooms);
  expect((await refusalOf(readForm(exchange, { bytesMax: 1000 })))[0]).toBe("request_timeout");
});

const Shape = Type.Object({
  temperature: Type.Optional(Type.Number()),
  stream: Type.Optional(Type.Boolean()),
  include: Type.Optional(Type.Array(Type.String())),
  language: Type.Optional(Type.String()),
});

test("fields become the members of a body by their schema", async () => {
  const form = await read([
    field("temperature", "0.5") +
      field("stream", "true") +
      field("include[]", "logprobs") +
      field("language", "1") +
      field("expires_after[anchor]", "x") +
      field("__proto__", "y") +
      END,
  ]);
  const body = bodyOfForm(form, Shape);
  expect(body).toMatchObject({ temperature: 0.5, stream: true, include: ["logprobs"], language: "1" });
  expect(body.expires_after).toEqual({ anchor: "x" });
  expect(Object.getPrototypeOf(body)).toBe(Object.prototype);
  const wrong = await read([field("temperature", "hot") + field("language", "de") + field("language", "en") + END]);
  expect(bodyOfForm(wrong, Shape)).toEqual({ temperature: "hot", language: ["de", "en"] });
});

test("a form that is written again has the same bytes whatever boundary it came with, the model first, to be renamed", async () => {
  const form = await read([field("include", "a") + field("model", "m") + file("file", 'a";\r\nx.wav', "abc") + END]);
  const { bytes, contentType } = writeForm(form, Shape);
  expect(writeForm(structuredClone(form), Shape)).toEqual({ bytes, contentType });
  const text = Buffer.from(bytes).toString();
  expect(text.indexOf('name="model"')).toBeLessThan(text.indexOf('name="include[]"'));
  const sent = renameModel(bytes, "org/other-name");
  const body = sent as Uint8Array<ArrayBuffer>;
  const again = await readWrittenForm(
    new Request("http://x", { method: "POST", body, headers: { "content-type": contentType } }),
  );
  expect(Object.fromEntries(again.fields)).toEqual({ model: ["org/other-name"], include: ["a"] });
  expect(Buffer.from(again.files[0]!.bytes).toString()).toBe("abc");
});
