import { describe, expect, test } from "bun:test";
import { hintsOf } from "./hints.ts";

describe("hints", () => {
  const subjects = (text: string) => hintsOf(text).subjects;

  test("names, quotes, words after prepositions", () => {
    expect(subjects("What is the weather in Tokyo?")).toEqual(["Tokyo"]);
    expect(subjects("Paris and New York, please")).toEqual(["Paris", "New York"]);
    expect(subjects("Weather for San Francisco, CA")).toEqual(["Weather", "San Francisco, CA"].slice(1));
    expect(subjects("Tell Alice's brother about “blue whales”")).toEqual(["blue whales"]);
    expect(subjects("the weather in paris and tokyo")).toEqual(["paris", "tokyo"]);
    expect(subjects("How are you?")).toEqual([]);
    expect(subjects("Call the tool with value CANARY_OK.")).toEqual(["CANARY_OK"]);
    expect(subjects("Zürich und Łódź")).toEqual(["Zürich", "Łódź"]);
  });

  test("numbers, addresses and dates", () => {
    const hints = hintsOf("Mail bob@example.com on 2026-03-04 about https://example.com/x, 3 times at -2.5, see a1");
    expect(hints.numbers).toEqual([3, -2.5]);
    expect(hints.literals).toEqual(["bob@example.com", "2026-03-04", "https://example.com/x"]);
    expect(hints.dates).toEqual(["2026-03-04"]);
  });
});
