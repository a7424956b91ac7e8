import { expect, test } from "bun:test";
import { createPace, wait } from "./pace.ts";

test("the first token waits for the prompt that is not cached, and a wait ends with its signal", async () => {
  expect(createPace({ ttftMs: 10, promptMsPerToken: 0.5, itlMs: 2 }).firstMs(100)).toBe(60);
  const gone = new AbortController();
  const waiting = wait(1_000_000, gone.signal);
  gone.abort(new Error("gone"));
  await expect(waiting).rejects.toThrow("gone");
});
