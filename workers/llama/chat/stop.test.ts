import { expect, test } from "bun:test";
import fc from "fast-check";
import { createStopFilter } from "./stop.ts";

function run(stops: string[], parts: string[]): { text: string; stopped: boolean } {
  const filter = createStopFilter(stops);
  let text = "";
  for (const part of parts) {
    const out = filter.push(part);
    text += out.text;
    if (out.stopped) return { text, stopped: true };
  }
  return { text: text + filter.end(), stopped: false };
}

test("the text ends before the stop string that is complete first, whatever the chunks", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b", "\n"), minLength: 0, maxLength: 4 });
  fc.assert(
    fc.property(fc.array(letters), fc.array(letters, { maxLength: 4 }), (parts, stops) => {
      const text = parts.join("");
      const ends = Array.from(text, (_, at) => text.slice(0, at + 1)).map((read) =>
        stops.filter((stop) => stop !== "" && read.endsWith(stop)).map((stop) => read.length - stop.length),
      );
      const first = ends.find((starts) => starts.length > 0);
      const expected = first ? { text: text.slice(0, Math.min(...first)), stopped: true } : { text, stopped: false };
      expect(run(stops, parts)).toEqual(expected);
    }),
    { numRuns: 500 },
  );
});

test("only what may become a stop string is held back, and nothing follows one", () => {
  const filter = createStopFilter(["###", "\nUser:"]);
  expect(filter.push("Hi #")).toEqual({ text: "Hi ", stopped: false });
  expect(filter.push("1\nUs")).toEqual({ text: "#1", stopped: false });
  expect(filter.push("er: x")).toEqual({ text: "", stopped: true });
  expect(filter.push("more")).toEqual({ text: "", stopped: true });
  expect(filter.end()).toBe("");
});
