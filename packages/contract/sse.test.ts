import { expect, test } from "bun:test";
import fc from "fast-check";
import { createSseReader, SSE_DONE, SSE_KEEPALIVE, sseEvent } from "./sse.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** Reads `text` cut at `cuts`. */
function read(text: string, cuts: number[] = []) {
  const whole = bytes(text);
  const borders = [0, ...cuts.map((cut) => cut % (whole.length + 1)).sort((a, b) => a - b), whole.length];
  const reader = createSseReader();
  const events = borders.slice(1).flatMap((end, index) => reader.push(whole.subarray(borders[index], end)));
  return [...events, ...reader.end()].map((event) => event.data);
}

test("what is written is read back, whatever the chunk borders", () => {
  const values = fc.array(fc.record({ text: fc.string({ unit: "grapheme" }), number: fc.integer() }), { maxLength: 5 });
  fc.assert(
    fc.property(values, fc.array(fc.nat(), { maxLength: 10 }), (list, cuts) => {
      const text = list.map((value) => SSE_KEEPALIVE + sseEvent(value)).join("") + SSE_DONE;
      expect(read(text, cuts)).toEqual([...list.map((value) => JSON.stringify(value)), "[DONE]"]);
    }),
  );
});

test("the ways in which other engines write are read as well", () => {
  expect(read("data:1\r\n\r\n: ping\r\n\r\nid: 7\nevent: x\ndata: 2\n\ndata: a\ndata: b\n\ndata: last")).toEqual([
    "1",
    "2",
    "a\nb",
    "last",
  ]);
});

test("an event without an end does not fill the memory", () => {
  const reader = createSseReader(100);
  expect(() => {
    for (let count = 0; count < 50; count++) reader.push(bytes("data: aaaa"));
  }).toThrow("longer than 100");
});

test("nor does one of lines that hold nothing", () => {
  const reader = createSseReader(100);
  expect(() => reader.push(bytes("data:\n".repeat(200)))).toThrow("longer than 100");
});

test("many events may come at once, each within its bound", () => {
  expect(createSseReader(100).push(bytes("data: aaaa\n\n".repeat(50)))).toHaveLength(50);
});

test("an event in the smallest pieces costs what its length costs", () => {
  const reader = createSseReader();
  const piece = bytes("a".repeat(16));
  reader.push(bytes("data: "));
  for (let count = 0; count < 100_000; count++) reader.push(piece);
  expect(reader.push(bytes("\n\n"))[0]!.data).toHaveLength(1_600_000);
}, 2_000);

test("a keep-alive is one line without a blank one: the blank one makes SDKs see an empty event", () => {
  expect(SSE_KEEPALIVE).toMatch(/^: [^\n]+\n$/);
});
